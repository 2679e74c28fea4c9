"""The one exception that a user is meant to read, and how a command ends."""

import re
import sys
from collections.abc import Callable

# What a terminal would obey, and halves of characters, which it cannot print.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class RetrievalError(Exception):
    """What is wrong, with which file, and what to do, in one line; Jupyter shows only that line."""

    def __str__(self) -> str:
        return shown(super().__str__())

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class SkippedError(RetrievalError):
    """A step has nothing to work with in these images; the others go on."""


def shown(name: object) -> str:
    r"""A name on one line: line breaks and control characters in it are escaped.

    >>> print(shown("two\nlines"))
    two\nlines
    """
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], str(name))


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
