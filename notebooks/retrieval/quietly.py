"""TensorFlow and Keras, imported without the log lines that no log level keeps off the terminal."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def _standard_error_closed() -> Iterator[None]:
    # The lines come from C++, which knows nothing of sys.stderr.
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


with _standard_error_closed():
    import keras
    import tensorflow as tf

__all__ = ["keras", "tf"]
