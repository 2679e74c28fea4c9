"""Runs notebooks from top to bottom, as `make` does: `python -m retrieval.commands.run NOTEBOOK.ipynb …`."""

import os
import re
import sys
import time
from asyncio import CancelledError
from pathlib import Path
from signal import SIGKILL, Signals
from subprocess import DEVNULL, Popen
from typing import Any
from urllib.parse import quote

import bleach
import nbformat
from bleach.css_sanitizer import CSSSanitizer
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter

from retrieval.artifacts.locks import locked, note
from retrieval.errors import RetrievalError, SkippedError
from retrieval.files import write_atomically
from retrieval.settings import PROJECT, read_settings

TAGS = {
    *bleach.ALLOWED_TAGS,
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "div", "span", "pre", "del", "sub", "sup"),
    *("details", "summary"),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "dl", "dt", "dd"),
}
ATTRIBUTES = {"*": ["border", "class", "colspan", "href", "id", "rowspan", "style", "title"]}


class _Client(NotebookClient):
    """Passes on what the kernel prints while it runs."""

    def process_message(self, msg: dict[str, Any], cell: nbformat.NotebookNode, cell_index: int) -> Any:
        if msg["msg_type"] == "stream":
            content = msg["content"]
            print(content["text"], end="", file=getattr(sys, content["name"]), flush=True)
        return super().process_message(msg, cell, cell_index)


def run(notebook: Path, folder: Path) -> None:
    """Executes a notebook and writes it to a folder, as `.ipynb` and `.html`, with the seconds it took.

    If `execute` raises an error, nothing is written.
    """
    print(f"{notebook.stem} started", flush=True)
    start = time.monotonic()
    executed = execute(notebook)
    page = to_page(executed, notebook.stem)
    # From where the page lies, the project's own pages are elsewhere.
    docs = quote(os.path.relpath(PROJECT / "docs", folder))
    page = re.sub(r'href="(\.\./)+docs/', f'href="{docs}/', page)
    executed.metadata["seconds"] = round(time.monotonic() - start, 1)
    write_atomically(folder / f"{notebook.stem}.html", lambda file: file.write_text(page, "utf-8"))
    # Last, because this is the file that make looks at.
    write_atomically(folder / notebook.name, lambda file: nbformat.write(executed, file))
    print(f"{notebook.stem} finished in {executed.metadata['seconds']} s", flush=True)


def execute(notebook: Path) -> nbformat.NotebookNode:
    """A notebook with the outputs of a run in its own folder, in a kernel of this interpreter.

    Raises:
        RetrievalError: a cell raised one, or the kernel died.
        SkippedError: the notebook has nothing to work with in these images.
        CellExecutionError: a cell raised anything else.
        KeyboardInterrupt: after Ctrl-C, once the kernel is shut down.
    """
    # Without folders to search, "python3" is this interpreter, not one registered elsewhere.
    kernel: Any = AsyncKernelManager(
        kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[])
    )
    client = _Client(nbformat.read(notebook, 4), kernel, coalesce_streams=True, record_timing=False)
    # What cells print comes through messages. The kernel's own log and stderr are of no use: now and then
    # libzmq reports a race there while it shuts down.
    client.extra_arguments = ["--log-level=CRITICAL"]
    process: list[Popen] = []  # of the kernel, which forgets it once it is dead
    client.on_cell_execute = lambda **_: process.append(kernel.provisioner.process)
    try:
        client.execute(cwd=str(notebook.parent), stderr=DEVNULL, cleanup_kc=True)
    except CellExecutionError as error:
        if error.ename == SkippedError.__name__:
            raise SkippedError(f"{notebook.stem} skipped: {error.evalue}") from None
        if error.ename != RetrievalError.__name__:
            raise
        raise RetrievalError(f"{notebook.stem} stopped: {error.evalue}") from None
    except (Exception, CancelledError) as error:
        # On Ctrl-C, nbclient shuts the kernel down, keeps a note of it, and stumbles over the loss somewhere.
        if hasattr(client, "_async_cleanup_kernel_future"):
            raise KeyboardInterrupt from None
        if not isinstance(error, DeadKernelError):
            raise
        raise RetrievalError(f"{notebook.stem} stopped: its kernel {_end(process[-1])}") from None
    for cell in client.nb.cells:
        if cell.cell_type == "code":
            # A progress bar that has gone leaves blanks behind.
            cell.outputs = [output for output in cell.outputs if output.get("text", "shown").strip()]
    return client.nb


def to_page(executed: nbformat.NotebookNode, title: str) -> str:
    """An executed notebook as HTML, linked to the other pages; no name of a file is taken for code in it."""
    exporter = HTMLExporter(sanitize_html=True)
    # nbconvert's own filter knows no headings, paragraphs nor heads of tables, and would show their tags.
    exporter.register_filter("clean_html", _clean)
    page = exporter.from_notebook_node(executed, {"metadata": {"name": title}})[0]
    return re.sub(r'(<a [^>]*href="[\w./-]+)\.ipynb"', r'\1.html"', page)


def _end(process: Popen) -> str:
    """How a process that is dead has ended, in words."""
    if (status := process.wait()) >= 0:
        return f"ended with status {status}"
    likely = ", most likely for want of memory: close other programs" if -status == SIGKILL else ""
    return f"was killed by {Signals(-status).name}{likely}"


def _clean(html: str) -> str:
    """HTML whose harmless tags are kept, while all others become text."""
    # The style that pandas puts before a table would become text as well.
    html = re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)
    css = CSSSanitizer(allowed_css_properties=["text-align"])
    return bleach.clean(html, tags=TAGS, attributes=ATTRIBUTES, css_sanitizer=css)


def main(notebooks: list[str]) -> int:
    """Runs notebooks in order and returns the exit status: 0, 1 for a failure, 130 for Ctrl-C."""
    try:
        artifacts = read_settings().artifacts
        with locked(artifacts, "run", "starting"):
            for notebook in (Path(name).resolve() for name in notebooks):
                note(artifacts, "run", f"running {notebook.stem}")
                below = "more" if notebook.parent.name == "more" else ""
                try:
                    run(notebook, artifacts / "notebooks" / below)
                except SkippedError as error:
                    print(error)
    except (RetrievalError, CellExecutionError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: what is finished is kept, `make` goes on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
