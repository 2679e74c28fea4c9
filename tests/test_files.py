"""Single files: whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from retrieval.errors import RetrievalError
from retrieval.files import write_atomically


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
