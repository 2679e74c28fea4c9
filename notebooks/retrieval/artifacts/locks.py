"""Locks on a folder of artifacts, which the operating system takes back when their holder dies."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from retrieval.errors import RetrievalError, shown


@contextmanager
def locked(folder: Path, name: str, doing: str = "") -> Iterator[None]:
    """Holds one of a folder's locks; waits while another process holds it.

    `doing` is shown to a process that waits for this lock; leave it empty for one held only for milliseconds.

    Raises:
        RetrievalError: the folder cannot be written to or locked.
    """
    lock = FileLock(folder / ".locks" / name)
    try:
        (folder / ".locks").mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if doing:
                print(f"waiting: {shown(folder)} is in use {_holder(folder, name)}", flush=True)
            lock.acquire()
    except OSError as error:
        raise RetrievalError(
            f"{folder} could not be locked ({error.strerror}): "
            "check the folder's permissions or choose another one as ARTIFACTS"
        ) from None
    try:
        if doing:
            note(folder, name, doing)
        yield
    finally:
        lock.release()


def note(folder: Path, name: str, doing: str) -> None:
    """Tells those who wait for a lock what its holder does now."""
    with suppress(OSError):  # if the disk is full, they wait without being told
        text = f"since {datetime.now():%H:%M} by process {os.getpid()}, {doing}"
        (folder / ".locks" / f"{name}.txt").write_text(text, "utf-8")


def _holder(folder: Path, name: str) -> str:
    try:
        return (folder / ".locks" / f"{name}.txt").read_text("utf-8")
    except OSError:
        return "by another process"
