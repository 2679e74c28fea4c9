"""The contract between the notebooks: names, writes, reads and checks every artifact.

`artifacts/manifest.json` holds, for every artifact, its SHA-256, shape, the step and settings that
made it, and the SHA-256 of each artifact it was made from. That is what tells an artifact that can
be reused from one that is missing, damaged or stale.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import RetrievalError
from retrieval.settings import Settings, read_settings

PARTS = ("train", "val", "test")

# The first pattern that fits an artifact's name tells the notebook that makes it.
STEPS = {
    "01_split": ("*_index_*.json", "dataset.json", "images.json", "audit.csv"),
    "02_mobilenetv2_features": ("mobilenetv2_*", "weights.json"),
    "03_siamese_encoders": ("siamese_*",),
    "05_feature_fusion": ("fused*", "results/fused*", "results/comparison*"),
    "06_rocchio_feedback": ("results/feedback*",),
    "04_kdtree_retrieval": ("results/*",),
}
RECORD = {"sha256", "shape", "step", "settings", "inputs"}


@dataclass(frozen=True)
class Store:
    """The artifacts of one run.

    Attributes:
        folder: where they are.
        settings: by name; an artifact made with another value of one of these is stale.
    """

    folder: Path
    settings: Mapping[str, Any]

    def make(
        self,
        *names: str,
        by: Callable[[Path], Any],
        needs: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> Any:
        """The named artifacts, loaded if they are still valid, else made and saved.

        Args:
            names: one artifact, or several that are made together.
            by: makes the artifact, or a tuple with one value per name. It is given a path for
                unfinished work: the same one, with what lies there, when an interrupted run is
                repeated with the same needs and settings.
            needs: names of the artifacts it is made from.
            settings: what else decides its content; JSON types only.

        Returns:
            What `load` gives, or a tuple of that where there are several names: read back from the
            file even when just made, so that the first run sees what every later one does.

        Raises:
            RetrievalError: one of `needs` cannot be used, or saving failed.
            ValueError: `by` made an array that breaks the contract.
        """
        settings = dict(settings or {})
        inputs = {need: self.check(need)["sha256"] for need in needs}
        if all(self._is_current(name, settings, inputs) for name in names):
            print(f"reused {', '.join(names)}")
        else:
            made = by(self._unfinished(names[0], settings, inputs))
            values = dict(zip(names, made if len(names) > 1 else (made,), strict=True))
            self._save(values, settings=settings, inputs=inputs)
            shutil.rmtree(self.folder / "unfinished" / names[0], ignore_errors=True)
        loaded = tuple(self.load(name) for name in names)
        return loaded if len(names) > 1 else loaded[0]

    def save(
        self,
        name: str,
        value: Any,
        *,
        needs: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes an artifact that is cheap enough to be made anew in every run.

        Raises:
            RetrievalError: one of `needs` cannot be used, or writing failed.
            ValueError: an array breaks the contract.
        """
        inputs = {need: self.check(need)["sha256"] for need in needs}
        self._save({name: value}, settings=dict(settings or {}), inputs=inputs)

    def load(self, name: str) -> Any:
        """An artifact as its suffix says: array, JSON value, DataFrame or Keras model.

        Raises:
            RetrievalError: it is missing, damaged, stale, or not what its name promises.
        """
        self.check(name)
        return _read(self.folder / name, name)

    def features(self, features: str, part: str) -> np.ndarray:
        """`<features>_<part>.npy`, float32 `[n_images, dim]`, its rows in the order of `files`.

        Raises:
            RetrievalError: as `load`, or the rows are not as many as the part's images.
        """
        array = self.load(f"{features}_{part}.npy")
        images = len(self.files(part))
        if len(array) != images:
            raise RetrievalError(
                _remedy(f"{features}_{part}.npy", f"has {len(array)} rows for {images} images")
            )
        return array

    def categories(self, part: str) -> np.ndarray:
        """The category of every image of a part, `[n_images]` strings."""
        return np.array(list(self.load(f"{part}_index_category.json").values()))

    def files(self, part: str) -> list[str]:
        """The path of every image of a part, relative to the data folder, with `/`."""
        return list(self.load(f"{part}_index_file.json").values())

    def groups(self, part: str) -> np.ndarray:
        """The duplicate group of every image of a part, int `[n_images]`."""
        return np.array(list(self.load(f"{part}_index_group.json").values()))

    def check(self, name: str) -> dict[str, Any]:
        """The manifest's record of an artifact that can be used.

        Raises:
            RetrievalError: it is missing, damaged or stale; names it and the notebook to run.
        """
        if problem := self._damage(name) or self._stale(name):
            raise RetrievalError(_remedy(name, problem))
        return self.manifest()[name]

    def is_intact(self) -> bool:
        """Whether there are artifacts, and each still is the file that was written."""
        names = self.manifest().keys()
        return bool(names) and not any(self._damage(name) for name in names)

    def manifest(self) -> dict[str, Any]:
        """The record of every artifact, by name.

        Raises:
            RetrievalError: it is damaged.
        """
        path = self.folder / "manifest.json"
        if not path.exists():
            return {}
        with suppress(AttributeError, ValueError):
            manifest = json.loads(path.read_text("utf-8"))
            if all(record.keys() == RECORD for record in manifest.values()):
                return manifest
        raise RetrievalError(f"{path} is damaged: delete it and run `make`, which makes everything anew")

    def _damage(self, name: str) -> str:
        """Why an artifact is not the file that the manifest describes, or ""."""
        path, record = self.folder / name, self.manifest().get(name)
        if record is None or not path.is_file():
            return "is missing"
        return "" if sha256(path) == record["sha256"] else "is damaged or was changed by hand"

    def _stale(self, name: str) -> str:
        """Why an artifact no longer fits the settings or what it was made from, or ""."""
        manifest = self.manifest()
        record = manifest[name]
        for key, value in record["settings"].items():
            if key in self.settings and self.settings[key] != value:
                return f"was made with {key}={value}, now {key}={self.settings[key]}"
        for need, digest in record["inputs"].items():
            if need not in manifest or manifest[need]["sha256"] != digest:
                return f"was made from another {need}"
            if reason := self._stale(need):
                return f"rests on {need}, which {reason}"
        return ""

    def _is_current(self, name: str, settings: dict[str, Any], inputs: dict[str, str]) -> bool:
        if self._damage(name) or self._stale(name):
            return False
        record = self.manifest()[name]
        return record["settings"] == json.loads(json.dumps(settings)) and record["inputs"] == inputs

    def _unfinished(self, name: str, settings: dict[str, Any], inputs: dict[str, str]) -> Path:
        """Where an artifact is prepared; another path for other settings or inputs."""
        recipe = hashlib.sha256(json.dumps([settings, inputs], sort_keys=True).encode()).hexdigest()
        path = self.folder / "unfinished" / name / recipe[:12]
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _save(self, values: dict[str, Any], *, settings: dict[str, Any], inputs: dict[str, str]) -> None:
        """Writes artifacts, then their records at once: those of an interrupted save do not fit the files."""
        manifest = self.manifest()
        for name, value in values.items():
            path = self.folder / name
            write_atomically(path, partial(_write, value=value, name=name))
            manifest[name] = {
                "sha256": sha256(path),
                "shape": list(value.shape) if hasattr(value, "shape") else None,
                "step": step_of(name),
                "settings": settings,
                "inputs": inputs,
            }
        text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
        write_atomically(self.folder / "manifest.json", lambda file: file.write_text(text, "utf-8"))


def open_store(settings: Settings) -> Store:
    """The artifacts of the folder that the settings name."""
    watched = {key: value for key, value in asdict(settings).items() if key != "artifacts"}
    return Store(settings.artifacts, watched | {"data": str(settings.data)})


def step_of(name: str) -> str:
    """The notebook that makes an artifact.

    >>> step_of("siamese_cnn_train.npy")
    '03_siamese_encoders'
    """
    return next(
        step for step, patterns in STEPS.items() if any(fnmatch(name, pattern) for pattern in patterns)
    )


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets `write` fill a temporary file beside `path`, then puts it in `path`'s place.

    Raises:
        RetrievalError: the disk is full or the folder cannot be written to.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        # NumPy reports a full disk without an error number: the remedy has to cover both causes.
        raise RetrievalError(
            f"{path} could not be written ({error.strerror or error}): "
            "check the disk's free space and the folder's permissions, then run again"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def verify(folder: Path) -> dict[str, str]:
    """What is wrong with each artifact of a folder's manifest, by name; "" where nothing is.

    Artifacts are held against the manifest and one another, whatever the present settings are.

    Raises:
        RetrievalError: the manifest is damaged.
    """
    store = Store(folder, {})
    return {name: _problem(store, name) for name in store.manifest()}


def _problem(store: Store, name: str) -> str:
    try:
        # What the hash of an encoder covers is not worth starting TensorFlow for.
        store.check(name) if name.endswith(".keras") else store.load(name)
    except RetrievalError as error:
        return str(error)
    return ""


def _remedy(name: str, problem: str) -> str:
    return f"artifacts/{name} {problem}: run notebook {step_of(name)} or `make`"


def _write(path: Path, value: Any, name: str) -> None:
    if path.suffix == ".npy":
        if fault := _fault(value):
            raise ValueError(f"{name} {fault}")
        np.save(path, value, allow_pickle=False)
    elif path.suffix == ".json":
        path.write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")
    elif path.suffix == ".csv":
        value.to_csv(path, index=False)
    else:
        value.save(path)


def _read(path: Path, name: str) -> Any:
    if path.suffix == ".npy":
        return _read_array(path, name)
    if path.suffix == ".json":
        return json.loads(path.read_text("utf-8"))
    if path.suffix == ".csv":
        import pandas

        return pandas.read_csv(path)
    # Only the steps that use an encoder pay for loading TensorFlow.
    import keras

    return keras.models.load_model(path, compile=False)


def _read_array(path: Path, name: str) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except ValueError:
        raise RetrievalError(_remedy(name, "is not a plain array")) from None
    if fault := _fault(array):
        raise RetrievalError(_remedy(name, fault))
    return array


def _fault(array: np.ndarray) -> str:
    """How an array breaks the contract, or ""."""
    if array.dtype != np.float32 or array.ndim != 2 or not array.flags.c_contiguous:
        return f"is {array.dtype} {list(array.shape)}, not C-contiguous float32 [n_images, dim]"
    return "" if np.isfinite(array).all() else "holds NaN or infinite values"


def _main() -> None:
    try:
        problems = verify(read_settings().artifacts)
    except RetrievalError as error:
        sys.exit(str(error))
    for name, problem in problems.items():
        print(f"{'damaged' if problem else 'ok':<8} {problem or name}")
    if not problems:
        sys.exit("there are no artifacts yet: run `make`")
    sys.exit(any(problems.values()))


if __name__ == "__main__":
    _main()
