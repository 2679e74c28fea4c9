"""The one exception that a user is meant to read."""

from __future__ import annotations

from pathlib import Path


class RetrievalError(Exception):
    """What is wrong, with which file, and what to do about it, in one line.

    Jupyter shows only that line: the stack says nothing that the message does not.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class NoCategoriesError(RetrievalError):
    """A step that needs categories has met images without any."""


def shown(path: Path | str) -> str:
    """A path on one line: quoted and escaped if not all of it prints."""
    return str(path) if str(path).isprintable() else ascii(str(path))
