"""The one exception that a user is meant to read, and how a command ends."""

import sys
from collections.abc import Callable
from pathlib import Path


class RetrievalError(Exception):
    """What is wrong, with which file, and what to do, in one line; Jupyter shows only that line."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class SkippedError(RetrievalError):
    """A step has nothing to work with in these images; the others go on."""


def shown(path: Path | str) -> str:
    """A path on one line: quoted and escaped if not all of it prints."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def run(command: Callable[[], object]) -> None:
    """Runs a command of `make` and ends the process if it fails.

    Status 1 and one line for a `RetrievalError`, 130 for Ctrl-C. A step that is skipped is no failure.
    """
    try:
        command()
    except SkippedError as error:
        print(f"{error}; `make query IMAGE=photo.jpg` finds the images nearest to any picture")
    except RetrievalError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
