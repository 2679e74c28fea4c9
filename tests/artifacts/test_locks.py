"""Locks keep others out, say why, and end with their holder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.artifacts.locks import locked, note
from retrieval.errors import RetrievalError
from retrieval.settings import PROJECT

WAIT = "import sys\nfrom pathlib import Path\nfrom retrieval.artifacts.locks import locked\n"


def another(folder: Path, code: str) -> subprocess.Popen:
    command = [sys.executable, "-c", f"{WAIT}with locked(Path(sys.argv[1]), 'run', 'testing'):\n    {code}"]
    return subprocess.Popen(
        [*command, folder], cwd=PROJECT / "notebooks", stdin=-1, stdout=subprocess.PIPE, text=True
    )


def test_another_process_says_for_whom_it_waits(tmp_path: Path) -> None:
    with locked(tmp_path, "run", "starting"):
        note(tmp_path, "run", "running 01_split")
        other = another(tmp_path, "print('in')")
        line = other.stdout.readline()
        assert line.startswith(f"waiting: {tmp_path} is in use since ")
        assert line.endswith(f" by process {os.getpid()}, running 01_split\n")
    assert other.communicate()[0] == "in\n"


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    other = another(tmp_path, "print('in', flush=True)\n    input()")
    assert other.stdout.readline() == "in\n"
    other.kill()
    other.communicate()
    with locked(tmp_path, "run", "testing"):
        pass


def test_locks_of_other_names_or_folders_are_free(tmp_path: Path) -> None:
    with locked(tmp_path, "run", "a"), locked(tmp_path, "make", "b"), locked(tmp_path / "more", "run", "c"):
        pass


def test_a_folder_that_is_a_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(RetrievalError, match=r"file could not be locked \(.*as ARTIFACTS$"),
        locked(tmp_path / "file", "run", "testing"),
    ):
        pass
