"""The few things a user can set, all through environment variables."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from retrieval.errors import RetrievalError, shown

PROJECT = Path(__file__).resolve().parents[2]
SPLITS = ("grouped", "plain")
Default = TypeVar("Default", int, None)
LARGEST = 2**32 - 1  # where the seeds of NumPy and Keras end


@dataclass(frozen=True)
class Settings:
    """What a run depends on beside the code.

    Attributes:
        data: folder of category folders.
        seed: of the split, the batches and the bootstrap.
        split: "grouped" keeps duplicates in one part, "plain" ignores them as the original did.
        epochs: the most epochs either encoder trains for; None for what each one's recipe says.
        weights: "" for the first that is found, "imagenet" to insist on Keras's, or a path.
        artifacts: folder that every step writes to.
    """

    data: Path
    seed: int
    split: str
    epochs: int | None
    weights: str
    artifacts: Path

    def __str__(self) -> str:
        values = {name: "default" if value in (None, "") else value for name, value in asdict(self).items()}
        return "\n".join(f"{name.upper():<10} {shown(value)}" for name, value in values.items())


def read_settings() -> Settings:
    """Settings from `DATA`, `SEED`, `SPLIT`, `EPOCHS`, `WEIGHTS` and `ARTIFACTS`.

    Relative paths start from the project's folder, wherever the notebook or command was started.
    Without `DATA`, it is the real set in `data/mammals` if that is there, else the synthetic sample.

    Raises:
        RetrievalError: a value is not one of those that make sense.
    """
    data = os.environ.get("DATA") or ("data/mammals" if path_of("data/mammals").is_dir() else "data/sample")
    split = os.environ.get("SPLIT") or "grouped"
    if split not in SPLITS:
        raise RetrievalError(f"SPLIT={split} is unknown: use {' or '.join(SPLITS)}")
    weights = os.environ.get("WEIGHTS", "")
    return Settings(
        data=path_of(data),
        seed=whole_number("SEED", default=0, least=0),
        split=split,
        epochs=whole_number("EPOCHS", default=None, least=1),
        weights=weights if weights in ("", "imagenet") else str(path_of(weights)),
        artifacts=path_of(os.environ.get("ARTIFACTS") or "artifacts"),
    )


def path_of(text: str) -> Path:
    """A path as a user writes it: `~` is their home, and a relative one starts from the project's folder."""
    return (PROJECT / Path(text).expanduser()).resolve()


def whole_number(name: str, *, default: Default, least: int) -> int | Default:
    """A setting that is a whole number from `least` to 2**32 - 1, or refused; `default` if not set."""
    text = os.environ.get(name)
    if not text:
        return default
    if not text.isdecimal() or not least <= int(text) <= LARGEST:
        raise RetrievalError(f"{name}={text} is not a whole number from {least} to {LARGEST}")
    return int(text)
