"""Single files: whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.errors import RetrievalError
from retrieval.files import remove_temporary_files, write_atomically


def write_half_and_raise(path: Path) -> None:
    path.write_text("half")
    raise ZeroDivisionError


def fill_disk(path: Path) -> None:
    path.write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "write, error", [(write_half_and_raise, ZeroDivisionError), (fill_disk, RetrievalError)]
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, write, error) -> None:
    path = tmp_path / "artifact.json"
    path.write_text("old")
    with pytest.raises(error):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        RetrievalError, match=r"artifact\.json could not be written \(No space left.*free space"
    ):
        write_atomically(tmp_path / "artifact.json", fill_disk)


def test_a_folder_that_is_a_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RetrievalError, match="could not be written"):
        write_atomically(tmp_path / "file" / "artifact.json", Path.touch)


def test_an_error_of_another_kind_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        write_atomically(tmp_path / "artifact.json", fail)


def test_only_what_dead_processes_left_is_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / "figures").mkdir()
    left = [tmp_path / f".{dead.pid}-a.npy", tmp_path / "figures" / f".{os.getpid()}-a.png"]
    kept = [tmp_path / name for name in (f".{os.getppid()}-a.npy", ".mine-a.npy", "1-a.npy")]
    for path in left + kept:
        path.touch()
    remove_temporary_files(tmp_path)
    assert not any(path.exists() for path in left) and all(path.exists() for path in kept)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells by a file")
def test_what_a_process_left_that_has_ended_unnoticed_is_deleted(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    left = tmp_path / f".{ended.pid}-a.npy"
    left.touch()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # over, and still in the list of processes
    remove_temporary_files(tmp_path)
    assert not left.exists()
    ended.wait()
