"""Single files: written as a whole or not at all, told apart by SHA-256."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from retrieval.errors import RetrievalError


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def json_sha256(value: Any) -> str:
    """SHA-256 of JSON types, in hexadecimal, the same however they are laid out in a file."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the error of a full disk or a closed folder into a `RetrievalError`."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = _error_number(error)
        if isinstance(error, RuntimeError) and not number:
            raise
        raise RetrievalError(
            f"{path} could not be written ({os.strerror(number) if number else error}): "
            "check the disk's free space and the folder's permissions, then run again"
        ) from None


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets `write` fill a temporary file beside `path`, then puts it in `path`'s place.

    It is on the disk before it takes the place: after a power cut there is the old file or the new one.
    What a killed process leaves is overwritten the next time. Errors are as in `writing`.
    """
    temporary = path.with_name(f".unfinished-{path.name}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove(path: Path) -> None:
    """Deletes a file, a link or a folder with all it holds, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            path.unlink()


def _error_number(error: OSError | RuntimeError) -> int | None:
    """The system's number of an error; HDF5 hides it in several lines, NumPy forgets that of a full disk."""
    found = re.search(r"errno = (\d+)", str(error))
    return int(found[1]) if found else getattr(error, "errno", None)
