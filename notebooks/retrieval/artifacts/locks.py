"""Locks on a folder of artifacts, which the operating system takes back when their holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from retrieval.errors import RetrievalError


@contextmanager
def locked(folder: Path, name: str, doing: str = "") -> Iterator[TextIO]:
    """Holds one of a folder's locks; waits while another process holds it.

    A child process that inherits the descriptor of the file holds the lock as well, until it ends.

    Args:
        folder: the artifacts.
        name: of the lock.
        doing: what a process that has to wait will print; "" for a lock that is held so shortly that
            nobody needs to be told.

    Yields:
        The lock's file, for `note`.

    Raises:
        RetrievalError: the folder cannot be written to or locked.
    """
    try:
        file = _acquire(folder, name, tell=bool(doing))
    except OSError as error:
        raise RetrievalError(
            f"{folder} could not be locked ({error.strerror}): "
            "check the folder's permissions or choose another one as ARTIFACTS"
        ) from None
    with file:
        if doing:
            note(file, doing)
        yield file


def note(file: TextIO, doing: str) -> None:
    """Tells those who wait for a lock what its holder does now."""
    with suppress(OSError):  # where the disk is full, they wait without being told
        file.truncate(0)
        file.write(f"since {datetime.now():%H:%M} by process {os.getpid()}, {doing}")
        file.flush()


def _acquire(folder: Path, name: str, *, tell: bool) -> TextIO:
    path = folder / ".locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if tell:
            file.seek(0)
            print(f"waiting: {folder} is in use {file.read()}", flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    return file
