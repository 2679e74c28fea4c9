"""Runs notebooks from top to bottom, as `make` does: `python -m retrieval.run NOTEBOOK.ipynb …`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter

from retrieval.errors import RetrievalError
from retrieval.settings import read_settings
from retrieval.storage import write_atomically


class _Client(NotebookClient):
    """Passes on what the kernel prints while it runs."""

    def process_message(self, msg: dict[str, Any], cell: nbformat.NotebookNode, cell_index: int) -> Any:
        if msg["msg_type"] == "stream":
            stream = getattr(sys, msg["content"]["name"])
            stream.write(msg["content"]["text"])
            stream.flush()
        return super().process_message(msg, cell, cell_index)


def run(notebook: Path, folder: Path) -> None:
    """Executes a notebook and writes it to a folder, as `.ipynb` and `.html`; says how long it took.

    Raises:
        RetrievalError: a cell raised one, or the kernel died; nothing is written.
        CellExecutionError: a cell raised anything else; nothing is written.
        KeyboardInterrupt: once the kernel is shut down; nothing is written.
    """
    print(f"{notebook.stem} started", flush=True)
    start = time.monotonic()
    executed = execute(notebook)
    page, _ = HTMLExporter().from_notebook_node(executed, {"metadata": {"name": notebook.stem}})
    write_atomically(folder / f"{notebook.stem}.html", lambda file: file.write_text(page, "utf-8"))
    # Last, because this is the file that make looks at.
    write_atomically(folder / notebook.name, lambda file: nbformat.write(executed, file))
    print(f"{notebook.stem} finished in {time.monotonic() - start:.1f} s", flush=True)


def execute(notebook: Path) -> nbformat.NotebookNode:
    """A notebook with the outputs of a run in its own folder, in a kernel of this interpreter.

    Raises:
        As `run`, when a cell fails.
    """
    # Without folders to search, "python3" can only be this interpreter, not one registered elsewhere.
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    client = _Client(nbformat.read(notebook, 4), kernel, coalesce_streams=True, record_timing=False)
    # The kernel's own log; what cells print comes through messages.
    client.extra_arguments = ["--log-level=CRITICAL"]
    try:
        # Not client.execute(): its signal handlers would swallow Ctrl-C.
        # The kernel's own stderr is closed: what cells write comes through messages, and now and then
        # libzmq reports a race there while it shuts down.
        with client.setup_kernel(cleanup_kc=True, cwd=str(notebook.parent), stderr=DEVNULL):
            for index, cell in enumerate(client.nb.cells):
                client.execute_cell(cell, index)
    except CellExecutionError as error:
        if error.ename != RetrievalError.__name__:
            raise
        raise RetrievalError(f"{notebook.stem} stopped: {error.evalue}") from None
    except DeadKernelError:
        raise RetrievalError(
            f"{notebook.stem} stopped: its kernel died, most likely for want of memory; close other programs"
        ) from None
    return client.nb


def main(notebooks: list[str]) -> int:
    """Runs notebooks in order and returns the exit status: 0, 1 for a failure, 130 for Ctrl-C."""
    try:
        folder = read_settings().artifacts / "notebooks"
        for notebook in notebooks:
            run(Path(notebook).resolve(), folder)
    except (RetrievalError, CellExecutionError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: what is finished is kept, `make` goes on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
