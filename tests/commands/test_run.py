"""Notebooks run in a real kernel: what is written, what is said, and what a failure leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from retrieval.commands.run import to_page
from retrieval.settings import PROJECT

KERNELSPEC = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
ERROR = "from retrieval.errors import RetrievalError\nraise RetrievalError('x.npy is missing: run 02')"


def write(path: Path, *cells: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    notebook = new_notebook(
        cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": KERNELSPEC}
    )
    nbformat.write(notebook, path)
    return path


def environment(tmp_path: Path, **settings: str) -> dict[str, str]:
    package = {"PYTHONPATH": str(PROJECT / "notebooks"), "ARTIFACTS": str(tmp_path / "artifacts")}
    return os.environ | package | settings


def run(tmp_path: Path, *notebooks: Path, **settings: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "retrieval.commands.run", *notebooks],
        env=environment(tmp_path, **settings),
        capture_output=True,
        text=True,
    )


def start(tmp_path: Path, notebook: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "retrieval.commands.run", notebook]
    return subprocess.Popen(
        command,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def has_ended(process: int) -> bool:
    """Whether a process is gone, or dead and only not yet taken off the list."""
    return not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE


def outputs(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("artifacts/notebooks/*"))


def test_a_notebook_runs_where_it_lies_in_this_interpreter(tmp_path: Path) -> None:
    kernels = tmp_path / "jupyter" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text(json.dumps({"argv": ["false"], "language": "python"}))
    notebook = write(
        tmp_path / "here" / "ok.ipynb",
        "import os, sys\nprint(os.getcwd(), sys.executable, os.environ['DATA'])",
        "for i in range(99):\n    print(f'\\r{i + 1}/99', end='', file=sys.stderr, flush=True)",
        "import retrieval.errors",
    )
    done = run(tmp_path, notebook, DATA="my photos", JUPYTER_PATH=str(tmp_path / "jupyter"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "ok started"
    assert done.stdout.splitlines()[1] == f"{notebook.parent} {sys.executable} my photos"
    assert done.stdout.splitlines()[2].startswith("ok finished in ")
    assert done.stderr.endswith("99/99")
    assert outputs(tmp_path) == ["ok.html", "ok.ipynb"]
    executed = nbformat.read(tmp_path / "artifacts" / "notebooks" / "ok.ipynb", 4)
    assert [cell.execution_count for cell in executed.cells] == [1, 2, 3]
    assert executed.cells[1].outputs[0].text.strip() == "99/99"
    assert "my photos" in (tmp_path / "artifacts" / "notebooks" / "ok.html").read_text("utf-8")
    assert not nbformat.read(notebook, 4).cells[0].outputs


@pytest.mark.slow
def test_nothing_is_left_of_a_bar_that_has_gone(tmp_path: Path) -> None:
    bar = "from retrieval.progress import passing_bar\nfor _ in passing_bar(range(9), delay=0): pass"
    done = run(tmp_path, write(tmp_path / "bar.ipynb", bar, f"{bar}\nprint('shown')"))
    assert done.returncode == 0 and "0/9" in done.stderr
    executed = nbformat.read(tmp_path / "artifacts" / "notebooks" / "bar.ipynb", 4)
    assert [[output.text for output in cell.outputs] for cell in executed.cells] == [[], ["shown\n"]]


def test_links_to_notebooks_lead_to_their_pages(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_markdown_cell("[next](02_next.ipynb), [code](a/b.py)")])
    page = to_page(notebook, "first")
    assert 'href="02_next.html"' in page and 'href="a/b.py"' in page


def test_a_users_error_is_one_line_and_stops_the_rest(tmp_path: Path) -> None:
    old = tmp_path / "artifacts" / "notebooks" / "bad.ipynb"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    done = run(tmp_path, write(tmp_path / "bad.ipynb", ERROR), write(tmp_path / "next.ipynb", "1"))
    assert done.returncode == 1
    assert done.stderr == "bad stopped: x.npy is missing: run 02\n"
    assert outputs(tmp_path) == ["bad.ipynb"]
    assert old.read_text() == "old"


def test_a_notebook_that_needs_categories_is_skipped_where_there_are_none(tmp_path: Path) -> None:
    needing = (
        "from retrieval.data.dataset import need_categories\nneed_categories({'name': 'x', 'categories': 0})"
    )
    done = run(tmp_path, write(tmp_path / "needs.ipynb", needing), write(tmp_path / "next.ipynb", "1"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "needs skipped: x has not two category folders" in done.stdout
    assert outputs(tmp_path) == ["next.html", "next.ipynb"]


def test_any_other_error_shows_its_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, write(tmp_path / "bug.ipynb", "1 / 0"))
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ZeroDivisionError" in done.stderr
    assert not outputs(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "end"),
    [
        ("os._exit(9)", "ended with status 9"),
        ("os.kill(os.getpid(), 11)", "was killed by SIGSEGV"),
        (
            "os.kill(os.getpid(), 9)",
            "was killed by SIGKILL, most likely for want of memory: close other programs",
        ),
    ],
)
def test_a_dead_kernel_is_one_line_that_says_how_it_ended(tmp_path: Path, cell: str, end: str) -> None:
    done = run(tmp_path, write(tmp_path / "dead.ipynb", f"import os\n{cell}"))
    assert (done.returncode, done.stderr) == (1, f"dead stopped: its kernel {end}\n")
    assert not outputs(tmp_path)


def test_a_setting_without_sense_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, write(tmp_path / "good.ipynb", "1"), SEED="x")
    assert done.returncode == 1
    assert done.stderr.startswith("SEED=x is not") and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_an_interrupt_ends_the_kernel_and_leaves_nothing(tmp_path: Path) -> None:
    slow = (
        "import os, time\ntry:\n    print(os.getpid(), flush=True)\n    time.sleep(60)\n"
        "finally:\n    open('tidied', 'w').close()"
    )
    process = start(tmp_path, write(tmp_path / "slow.ipynb", slow))
    assert process.stdout.readline() == "slow started\n"
    kernel = int(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == "interrupted: what is finished is kept, `make` goes on from there"
    assert (tmp_path / "tidied").exists()
    assert not outputs(tmp_path)
    assert has_ended(kernel)


@pytest.mark.slow
def test_an_interrupt_while_the_kernel_starts_ends_it_too(tmp_path: Path) -> None:
    process = start(tmp_path, write(tmp_path / "slow.ipynb", "import time\ntime.sleep(60)"))
    assert process.stdout.readline() == "slow started\n"
    while not (kernels := psutil.Process(process.pid).children()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.count("\n")) == (130, 2)
    assert has_ended(kernels[0].pid)


@pytest.mark.slow
def test_a_second_run_says_for_whom_it_waits_and_goes_on(tmp_path: Path) -> None:
    wait = "import time\nfrom pathlib import Path\nwhile not Path('go').exists():\n    time.sleep(0.05)"
    first = start(tmp_path, write(tmp_path / "first.ipynb", wait))
    assert first.stdout.readline() == "first started\n"
    second = start(tmp_path, write(tmp_path / "second.ipynb", "1"))
    line = second.stdout.readline()
    assert re.fullmatch(
        rf"waiting: .*artifacts is in use since \d\d:\d\d by process {first.pid}, running first\n", line
    )
    assert not outputs(tmp_path)
    (tmp_path / "go").touch()
    assert (first.wait(30), second.wait(30)) == (0, 0)
    assert second.stdout.readline() == "second started\n"


@pytest.mark.slow
def test_an_orphaned_kernel_ends_and_the_next_run_goes_on(tmp_path: Path) -> None:
    endless = "import os\nprint(os.getpid(), flush=True)\nwhile True: pass"
    first = start(tmp_path, write(tmp_path / "endless.ipynb", endless))
    first.stdout.readline()
    kernel = int(first.stdout.readline())
    first.kill()
    first.wait()
    assert run(tmp_path, write(tmp_path / "next.ipynb", "1")).returncode == 0
    assert has_ended(kernel)


@pytest.mark.slow
def test_a_page_shows_what_names_say_and_runs_none_of_it(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:alert(1)'>x</a>"
    table = "pd.DataFrame({'file': [1]}, index=['cat'])"
    notebook = write(
        tmp_path / "names.ipynb",
        "import pandas as pd\nfrom IPython.display import HTML, Markdown",
        f"Markdown({'# Title $x_1$ ' + evil!r})",
        f"HTML({evil!r})",
        f"print({evil!r})",
        f"pd.DataFrame({{'file': [{evil!r}]}})",
        table,
        f"{table}.style.set_caption('two')",
    )
    content = nbformat.read(notebook, 4)
    content.cells.append(new_markdown_cell(f"## Heading\n\n| a | b |\n|:-|-|\n| 1 | $y<2$ |\n\n{evil}"))
    nbformat.write(content, notebook)
    assert run(tmp_path, notebook).returncode == 0
    page = (tmp_path / "artifacts" / "notebooks" / "names.html").read_text("utf-8")
    body = page[page.index("<main") :]
    for live in ("<script>alert", "<img", 'href="javascript', "<a href='javascript", "<style"):
        assert live not in body
    assert body.count("&lt;script&gt;alert(1)") >= 5
    for kept in (
        "<h1",
        "<h2",
        "<th>cat</th>",
        ">two</caption>",
        "text-align:left",
        ">a</th>",
        "$x_1$",
        "$y&lt;2$",
    ):
        assert kept in body
