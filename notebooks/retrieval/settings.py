"""The few things a user can set, all through environment variables. A run keeps them for later commands."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from retrieval.errors import RetrievalError, shown

PROJECT = Path(__file__).resolve().parents[2]
SPLITS = ("grouped", "plain")
RANGES = ("0..255", "0..1", "-1..1")
PRECISIONS = ("float32", "int8")
CHOICES = {"SPLIT": SPLITS, "PRECISION": PRECISIONS, "ENCODER_RANGE": RANGES}  # the first is the default
ENCODERS = ("ENCODER", "ENCODER_SIZE", "ENCODER_RANGE")
NAMES = ("DATA", "SEED", "SPLIT", "EPOCHS", "WEIGHTS", "PRECISION", *ENCODERS)
KEPT = "settings.json"  # in the folder of artifacts
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
        encoder: "" for the built-in encoders alone, or the path of one more.
        encoder_size: of the images it takes, in pixels on a side; None for what its file says, else 224.
        encoder_range: of the pixels it takes, one of RANGES, unless its file says it.
        precision: that encoders compute features in, one of PRECISIONS; training is in float32.
    """

    data: Path
    seed: int
    split: str
    epochs: int | None
    weights: str
    artifacts: Path
    encoder: str = ""
    encoder_size: int | None = None
    encoder_range: str = RANGES[0]
    precision: str = PRECISIONS[0]

    def __str__(self) -> str:
        """A line for each; what is said of another encoder, only if there is one."""
        texts = {name: text for name, text in self.texts().items() if self.encoder or name not in ENCODERS}
        return "\n".join(f"{name:<10} {shown(text)}" for name, text in texts.items())

    def texts(self) -> dict[str, str]:
        """The settings by name, as `read_settings` reads them; paths in the project are relative to it."""
        return {name.upper(): _text(value) for name, value in asdict(self).items()}

    def changed(self) -> dict[str, str]:
        """Those of `texts` that are not the defaults; which artifacts these are does not count."""
        defaults = _settings({}, self.artifacts).texts()
        return {name: text for name, text in self.texts().items() if text != defaults[name]}


def read_settings() -> Settings:
    """Settings from the environment: those in NAMES, and `ARTIFACTS`.

    What is not given is as the last run in `ARTIFACTS` had it, else the default; `default` gives the default.
    Relative paths start from the project's folder, wherever the notebook or command was started.
    The default of `DATA` is the real set in `data/mammals` if that is there, else the synthetic sample.

    Raises:
        RetrievalError: a value is not one of those that make sense, or what was kept is damaged.
    """
    artifacts = path_of(os.environ.get("ARTIFACTS") or "artifacts")
    given = {name: text for name in NAMES if (text := os.environ.get(name))}
    return _settings(_kept(artifacts) | given, artifacts)


def kept(artifacts: Path) -> Settings:
    """The settings of the last run in a folder of artifacts; errors are as in `read_settings`."""
    return _settings(_kept(artifacts), artifacts)


def _kept(artifacts: Path) -> dict[str, str]:
    path = artifacts / KEPT
    try:
        return {name: str(value) for name, value in json.loads(path.read_text("utf-8")).items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (AttributeError, OSError, ValueError):
        raise RetrievalError(f"{path} is damaged: delete it, and give `make` the settings again") from None


def announce(settings: Settings) -> None:
    """Prints in one line which settings are not the defaults, if any."""
    if changed := settings.changed():
        line = " ".join(f"{name}={text}" for name, text in changed.items())
        print(f"settings that hold until others are given: {shown(line)}", flush=True)


def _settings(texts: Mapping[str, str], artifacts: Path) -> Settings:
    texts = {name: text for name, text in texts.items() if text != "default"}
    data = "data/mammals" if path_of("data/mammals").is_dir() else "data/sample"
    weights, encoder = (texts.get(name, "") for name in ("WEIGHTS", "ENCODER"))
    chosen = {name: texts.get(name, known[0]) for name, known in CHOICES.items()}
    for name, text in chosen.items():
        if text not in CHOICES[name]:
            raise RetrievalError(f"{name}={text} is unknown: use {' or '.join(CHOICES[name])}")
    return Settings(
        data=path_of(texts.get("DATA", data)),
        seed=whole_number("SEED", texts, default=0, least=0),
        split=chosen["SPLIT"],
        epochs=whole_number("EPOCHS", texts, default=None, least=1),
        weights=weights if weights in ("", "imagenet") else str(path_of(weights)),
        artifacts=artifacts,
        encoder=str(path_of(encoder)) if encoder else "",
        encoder_size=whole_number("ENCODER_SIZE", texts, default=None, least=1),
        encoder_range=chosen["ENCODER_RANGE"],
        precision=chosen["PRECISION"],
    )


def _text(value: object) -> str:
    if value in (None, ""):
        return "default"
    path = Path(str(value))
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)


def path_of(text: str) -> Path:
    """A path as a user writes it: `~` is their home, and a relative one starts from the project's folder."""
    # Path.expanduser raises an error if `~name` names nobody; this leaves it.
    return (PROJECT / os.path.expanduser(text)).resolve()  # noqa: PTH111


def weights_file(choice: str) -> Path | None:
    """The file that `Settings.weights` names, or None if it names no file.

    Raises:
        RetrievalError: there is no such file.
    """
    if choice in ("", "imagenet"):
        return None
    if not Path(choice).is_file():
        raise RetrievalError(f"WEIGHTS={choice} is not a file: give the path of a .weights.h5 file")
    return Path(choice)


def encoder_file(choice: str) -> Path | None:
    """The file that `Settings.encoder` names, or None if it names none; errors are as in `weights_file`."""
    if not choice:
        return None
    if not choice.endswith((".tflite", ".keras")) or not Path(choice).is_file():
        raise RetrievalError(f"ENCODER={choice} is not a .tflite or .keras file: give the path of one")
    return Path(choice)


def whole_number(name: str, texts: Mapping[str, str], *, default: Default, least: int) -> int | Default:
    """A setting that is a whole number from `least` to 2**32 - 1, or refused; `default` if not set."""
    text = texts.get(name)
    if not text:
        return default
    if not text.isdecimal() or not least <= int(text) <= LARGEST:
        raise RetrievalError(f"{name}={text} is not a whole number from {least} to {LARGEST}")
    return int(text)
