"""The contract between the notebooks: names, writes, reads and checks every artifact.

`artifacts/manifest.json` holds for every artifact its SHA-256 and shape, the step and the settings that
made it, and the SHA-256 of each artifact that it was made from. This tells an artifact that can be reused
from one that is missing, damaged or stale.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import filter as fitting
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.artifacts.formats import read, write
from retrieval.artifacts.locks import locked
from retrieval.artifacts.steps import remedy, step_of
from retrieval.data.dataset import find_images, fingerprint, need_categories, prepare
from retrieval.data.parts import PARTS, Part
from retrieval.errors import RetrievalError
from retrieval.files import json_sha256, remove, sha256, write_atomically
from retrieval.settings import KEPT, Settings, encoder_file, kept, read_settings, weights_file

# How to say that a hash among the settings is another one.
OTHERS = {
    "images": "was made from other images than are there now",
    "weights": "was made with other weights than are named now",
    "encoder": "was made with another ENCODER than is named now",
}
# What a record must say to be of use.
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
    # The hash of each artifact when it was loaded: what has changed since is not what was computed on.
    _loaded: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def make(
        self,
        *names: str,
        by: Callable[[Path], Any],
        needs: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> Any:
        """The named artifacts, loaded if they are still valid, else made and saved.

        They come as `load` gives them, in a tuple if there are several names. They are read back from
        their files even when just made, because the first run must see what every later one does.

        Args:
            names: one artifact, or several that are made together.
            by: makes the artifact, or a tuple with one value per name. It is given a path for
                unfinished work: the same one, with what lies there, when an interrupted run is
                repeated with the same needs and settings.
            needs: names of the artifacts it is made from.
            settings: what else decides its content; JSON types only.

        Raises:
            RetrievalError: one of `needs` cannot be used or was made anew since it was loaded here, or
                saving failed.
            ValueError: `by` made an array that breaks the contract.
        """
        settings, inputs = dict(settings or {}), self._inputs(needs)
        recipe = json_sha256([names[0], settings, inputs])[:12]
        unfinished = self.folder / "unfinished" / names[0] / recipe
        if self._are_current(names, settings, inputs):
            print(f"reused {', '.join(names)}")
        else:
            with locked(self.folder, "make", f"making {names[0]}"):
                # Another process may have made them while this one waited.
                if not self._are_current(names, settings, inputs):
                    unfinished.parent.mkdir(parents=True, exist_ok=True)
                    # Without a name for what is made, its memory is free again before it is read back.
                    self._save(names, by(unfinished), settings, inputs)
        remove(unfinished)
        with suppress(OSError):  # the folders above it may hold other unfinished work
            for folder in unfinished.relative_to(self.folder).parents[:-1]:
                (self.folder / folder).rmdir()
        loaded = tuple(self.load(name) for name in names)
        return loaded if len(names) > 1 else loaded[0]

    def save(
        self, name: str, value: Any, *, needs: Sequence[str] = (), settings: Mapping[str, Any] | None = None
    ) -> None:
        """Writes an artifact that is cheap enough to be made anew in every run; errors are as in `make`."""
        self._save([name], value, dict(settings or {}), self._inputs(needs))

    def load(self, name: str) -> Any:
        """An artifact as its suffix says: array, JSON value, DataFrame or Keras model.

        Raises:
            RetrievalError: it is missing, damaged, stale, or not what its name promises.
        """
        digest = self.check(name)["sha256"]
        try:
            value = read(self.folder / name)
        except ValueError as fault:
            raise RetrievalError(f"{self.folder.name}/{name} {remedy(name, str(fault))}") from None
        self._loaded[name] = digest
        return value

    def features(self, features: str, part: str) -> np.ndarray:
        """`<features>_<part>.npy`, float32 `[n_images, dim]`, its rows in the order of `files`.

        Raises:
            RetrievalError: as `load`, or the rows are not as many as the part's images.
        """
        name = f"{features}_{part}.npy"
        array, images = self.load(name), len(self.files(part))
        if len(array) != images:
            fault = f"has {len(array)} rows for {images} images"
            raise RetrievalError(f"{self.folder.name}/{name} {remedy(name, fault)}")
        return array

    def part(self, features: str, part: str) -> Part:
        """The images of a part with `<features>_<part>.npy`; errors are as in `features`."""
        files = np.array(self.files(part))
        return Part(self.features(features, part), self.categories(part), files, self.groups(part))

    def parts(self, features: str) -> dict[str, Part]:
        """All three parts, by name, as `part` gives them."""
        return {part: self.part(features, part) for part in PARTS}

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
        manifest = self.manifest()
        if problem := self._damage(name, manifest) or self._stale(name, manifest):
            raise RetrievalError(f"{self.folder.name}/{name} {problem}")
        return manifest[name]

    def forget(self, pattern: str) -> None:
        """Deletes the artifacts whose names fit a pattern such as `custom*`, if there are any."""
        if names := fitting(self.manifest(), pattern):
            with locked(self.folder, "manifest"):
                self._write({name: record for name, record in self.manifest().items() if name not in names})
            for name in names:
                remove(self.folder / name)

    def is_intact(self) -> bool:
        """Whether there are artifacts, and each still is the file that was written."""
        manifest = self.manifest()
        return bool(manifest) and not any(self._damage(name, manifest) for name in manifest)

    def manifest(self) -> dict[str, Any]:
        """The record of every artifact, by name; empty if it is damaged: its artifact counts as missing.

        Raises:
            RetrievalError: the manifest is no JSON.
        """
        path = self.folder / "manifest.json"
        try:
            records = json.loads(path.read_text("utf-8")).items()
            return {name: record if set(record) >= RECORD else {} for name, record in records}
        except FileNotFoundError:
            return {}
        except (AttributeError, OSError, TypeError, ValueError):
            problem = f"{path} is damaged: delete it and run `make`, which makes everything anew"
            raise RetrievalError(problem) from None

    def _damage(self, name: str, manifest: Mapping[str, Any]) -> str:
        """Why an artifact is not the file that the manifest describes, and the remedy, or ""."""
        try:
            if sha256(self.folder / name) == manifest[name]["sha256"]:
                return ""
        except (FileNotFoundError, KeyError):
            return remedy(name, "is missing")
        except OSError as error:
            return remedy(name, f"cannot be read ({error.strerror})")
        return remedy(name, "is damaged or was changed by hand")

    def _stale(self, name: str, manifest: Mapping[str, Any]) -> str:
        """Why an artifact no longer fits the settings, the images or its inputs, and the remedy, or ""."""
        for key, value in manifest[name]["settings"].items():
            if (now := self.settings.get(key, value)) != value:
                return remedy(name, OTHERS.get(key, f"was made with {key}={value}, now {key}={now}"))
        for need, digest in manifest[name]["inputs"].items():
            if manifest.get(need, {}).get("sha256") != digest:
                return remedy(name, f"was made from another {need}")
            if reason := self._stale(need, manifest):
                return f"is out of date: it was made from {need}, which {reason}"
        return ""

    def _inputs(self, needs: Sequence[str]) -> dict[str, str]:
        """The hashes of what an artifact is made from, unless that is no longer what was loaded here."""
        inputs = {need: self.check(need)["sha256"] for need in needs}
        for need, digest in inputs.items():
            if self._loaded.get(need, digest) != digest:
                raise RetrievalError(
                    f"{self.folder.name}/{need} was made anew after it was loaded here: "
                    "run this notebook from the top"
                )
        return inputs

    def _are_current(self, names: Sequence[str], settings: dict[str, Any], inputs: dict[str, str]) -> bool:
        manifest, recipe = self.manifest(), [json.loads(json.dumps(settings)), inputs]
        return not any(
            self._damage(name, manifest)
            or self._stale(name, manifest)
            or [manifest[name]["settings"], manifest[name]["inputs"]] != recipe
            for name in names
        )

    def _save(
        self, names: Sequence[str], made: Any, settings: dict[str, Any], inputs: dict[str, str]
    ) -> None:
        """Writes artifacts, then their records at once: those of an interrupted save do not fit the files."""
        values = dict(zip(names, made if len(names) > 1 else [made], strict=True))
        with locked(self.folder, "manifest"):
            manifest = self.manifest()
            for name, value in values.items():
                write(self.folder / name, value)
                manifest[name] = {
                    "sha256": sha256(self.folder / name),
                    "shape": list(value.shape) if hasattr(value, "shape") else None,
                    "step": step_of(name),
                    "settings": settings,
                    "inputs": inputs,
                }
                self._loaded.pop(name, None)
            self._write(manifest)

    def _write(self, manifest: Mapping[str, Any]) -> None:
        text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
        write_atomically(self.folder / "manifest.json", lambda file: file.write_text(text, "utf-8"))


def open_store(settings: Settings) -> Store:
    """The artifacts of the folder that the settings name.

    Images, and files of weights or an encoder, are known by their hashes, wherever they lie, and may be gone.

    Raises:
        RetrievalError: the data folder cannot be used, or a setting is given that is not the run's.
    """
    store, run = Store(settings.artifacts, _watched(settings)), kept(settings.artifacts).texts()
    made_with = [record.get("settings", {}) for record in store.manifest().values()]
    for name, text in settings.texts().items():
        key = "images" if name == "DATA" else name.lower()
        now = store.settings.get(key)
        if text != run[name] and any(made.get(key, now) != now for made in made_with):
            raise RetrievalError(
                f"{name}={text} is not what {store.folder} was made with: "
                f"run `make {name}={text}` first, or leave {name} out"
            )
    return store


def start(settings: Settings) -> Store:
    """The artifacts of a run that begins here. Its settings are kept for later commands, in `settings.json`.

    Raises:
        RetrievalError: the data, the weights or the encoder cannot be used, or the folder not be written to.
    """
    prepare(settings.data)
    watched = _watched(settings)
    if "images" not in watched:
        find_images(settings.data)  # says what is missing
    weights_file(settings.weights), encoder_file(settings.encoder)  # stop if they are not there
    text = json.dumps(settings.changed(), indent=1)
    write_atomically(settings.artifacts / KEPT, lambda file: file.write_text(text, "utf-8"))
    return Store(settings.artifacts, watched)


def _watched(settings: Settings) -> dict[str, Any]:
    """What makes an artifact stale if it changes, by name; without images or files that are not there."""
    plain = ("seed", "split", "epochs", "precision", "encoder_size", "encoder_range")
    watched: dict[str, Any] = {name: getattr(settings, name) for name in plain}
    for name, choice in (("weights", settings.weights), ("encoder", settings.encoder)):
        if choice in ("", "imagenet"):
            watched[name] = choice
        elif Path(choice).is_file():
            watched[name] = sha256(Path(choice))
    if settings.data.is_dir():
        watched["images"] = fingerprint(settings.data, find_images(settings.data))
    return watched


def begin(*, categories: bool = True) -> tuple[Settings, Store, dict[str, Any]]:
    """What a notebook starts with: the settings, the artifacts, and `dataset.json`; prints which they are.

    Raises:
        SkippedError: there are none, and the notebook needs `categories` to learn from or measure by.
        RetrievalError: the settings or the artifacts cannot be used.
    """
    settings = read_settings()
    store = open_store(settings)
    data = store.load("dataset.json")
    if categories:
        need_categories(data)
    print(settings, f"\n\n{data['name']}: {data['images']} images, {data['categories']} categories")
    return settings, store, data
