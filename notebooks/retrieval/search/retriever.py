"""A saved model with its gallery: the images nearest to any picture, and a gallery that grows.

Neither TensorFlow nor the notebooks are needed, only the folder `artifacts/models/<features>`:

    retriever = Retriever.load("artifacts/models/siamese_mobilenetv2")
    answer = retriever.search("photo.jpg", k=5)
    print(answer.files, answer.distances, answer.similar)
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import filterfalse
from pathlib import Path

import numpy as np

from retrieval.artifacts import formats
from retrieval.artifacts.locks import locked
from retrieval.data.dataset import fingerprint
from retrieval.data.decoding import open_image
from retrieval.data.listing import images_in
from retrieval.errors import RetrievalError, shown
from retrieval.features import lda
from retrieval.features.extraction import extract
from retrieval.files import remove, sha256
from retrieval.search.model import Model, from_arrays, text_array, text_of
from retrieval.search.neighbours import nearest

SAME = 1e-6  # a smaller distance is a rounding error
MODEL, GALLERY = "model.npz", "gallery.npz"


@dataclass(frozen=True)
class Answer:
    """The images nearest to a picture.

    Attributes:
        model: the name of the features that were searched.
        after_lda: whether the distances were measured after LDA.
        files: as `Retriever.files`, `[k]`, nearest first.
        distances: at unit length, float64 `[k]`, in [0, 2].
        limit: as `open_set.limit`: beyond this distance the nearest image is not similar.
    """

    model: str
    after_lda: bool
    files: list[str]
    distances: np.ndarray
    limit: float

    @property
    def similar(self) -> bool:
        """Whether the gallery has anything like the picture."""
        return bool(self.distances[0] <= self.limit)

    @property
    def verdict(self) -> str:
        """A line that says whether the gallery has similar images."""
        if self.distances[0] < SAME:
            return f"This picture is in the gallery, or a copy of it is (features: {self.model})."
        has = "similar images" if self.similar else "nothing similar"
        numbers = f"distance {self.distances[0]:.3f}, limit {self.limit:.3f}; features: {self.model}"
        return f"The gallery has {has} ({numbers})."

    def __str__(self) -> str:
        """A table of the images, and the verdict."""
        rows = enumerate(zip(self.distances, self.files, strict=True), 1)
        table = [f"{rank:>4}  {distance:>8.3f}  {shown(file)}" for rank, (distance, file) in rows]
        return "\n".join(["rank  distance  file", *table, self.verdict])


@dataclass(frozen=True)
class Addition:
    """What came of adding images: files as given, each in one of these.

    Attributes:
        added: now in the gallery.
        known: were there before.
        copies: a copy of the file that each belongs to, and left out.
        unreadable: left out, and why.
    """

    added: list[str]
    known: list[str]
    copies: dict[str, str]
    unreadable: dict[str, str]

    def __str__(self) -> str:
        lines = [f"added: {len(self.added)} images"]
        lines += [f"already there: {len(self.known)} images"] if self.known else []
        lines += [f"left out: {shown(file)}, a copy of {shown(other)}" for file, other in self.copies.items()]
        return "\n".join([*lines, *(f"left out: {shown(reason)}" for reason in self.unreadable.values())])


@dataclass
class Retriever:
    """A model, and the gallery that it searches.

    Attributes:
        folder: holds `model.npz` and `gallery.npz`.
        model: the encoder, and how distances are measured.
        root: the folder of the data set.
        files: of the gallery, `[n]`: relative to the data set's folder, or absolute if added from elsewhere.
        features: unit rows of the encoder, float32 `[n, dim]`.
        removed: files of the data set that are kept out of the gallery.
    """

    folder: Path
    model: Model
    root: Path
    files: list[str] = field(repr=False)
    features: np.ndarray = field(repr=False)
    removed: list[str] = field(repr=False)

    @classmethod
    def load(cls, folder: Path | str, *, root: Path | str | None = None) -> "Retriever":
        """The retriever that a notebook, or `add` or `remove`, has kept in a folder.

        `root` is the folder of the data set, if it is not where it was.

        Raises:
            RetrievalError: the model or its gallery is missing or damaged, or they do not belong together.
        """
        folder = Path(folder)
        model, gallery = (read_file(folder / name) for name in (MODEL, GALLERY))
        try:
            about, features = text_of(gallery["about"]), gallery["features"]
            fits, files, removed = (about[key] for key in ("model", "files", "removed"))
            loaded = cls(folder, from_arrays(model), Path(root or about["root"]), files, features, removed)
        except (KeyError, TypeError, ValueError):
            raise RetrievalError(f"{folder} holds no model and its gallery: run `make`") from None
        if fits != sha256(folder / MODEL):
            raise RetrievalError(f"{folder / GALLERY} belongs to another model: run `make`")
        return loaded

    @property
    def added(self) -> list[str]:
        """The files of the gallery that are not of the data set."""
        return [*filter(is_added, self.files)]

    @property
    def uses_lda(self) -> bool:
        """Whether the model has LDA, and the gallery is the data set alone."""
        return self.model.lda is not None and not self.added

    def compared(self, features: np.ndarray, *, after_lda: bool) -> np.ndarray:
        """What distances are measured between: unit features `[n, dim]`, or these after LDA, `[n, d]`."""
        return lda.transform(features, self.model.lda) if after_lda and self.model.lda else features

    def search(
        self, picture: Path | str | bytes | np.ndarray, k: int = 10, *, after_lda: bool | None = None
    ) -> Answer:
        """The k images of the gallery that are nearest to a picture, or all if there are fewer.

        Args:
            picture: a file, its content, or its features as `Model.encode` gives them.
            k: how many.
            after_lda: whether distances are measured after LDA, which is for the categories that it was
                fitted to; by default as `uses_lda`.

        Raises:
            RetrievalError: the picture cannot be read, or the model has no LDA.
        """
        source = Path(picture) if isinstance(picture, str) else picture
        encoded = source if isinstance(source, np.ndarray) else self.model.encode(source)
        after_lda = self.uses_lda if after_lda is None else after_lda
        name = self.model.about["name"]
        if after_lda and not self.model.lda:
            raise RetrievalError(f"the model {name} has no LDA: leave LDA out")
        rows, query = (
            self.compared(each, after_lda=after_lda) for each in (self.features, encoded[np.newaxis])
        )
        distances, positions = nearest(rows, query, k, method="exact")
        limit = self.model.limit(after_lda=after_lda)
        return Answer(name, after_lda, [self.files[row] for row in positions[0]], distances[0], limit)

    def add(self, images: Path | str | Iterable[Path | str]) -> Addition:
        """Adds images, whose rows come last, in the order given. Copies of what is there are left out.

        They are files, or one file, or a folder, of which all images are added, sorted.

        Only new images are encoded. An addition that was interrupted goes on where it stopped.

        Raises:
            RetrievalError: there are no images, or the gallery cannot be read or written.
        """
        images = images_in(Path(images)) if isinstance(images, (str, Path)) else images
        with locked(self.folder, "gallery", "adding images"):
            self._read_again()
            return self.extend(images)

    def extend(self, images: Iterable[Path | str]) -> Addition:
        """As `add`, for a gallery that no other process can know yet."""
        names, there = dict.fromkeys(map(self._name, images)), set(self.files)
        new, known = ([name for name in names if (name in there) is each] for each in (False, True))
        paths = [str(self.root / name) for name in new]
        unfinished = self.folder / "unfinished" / fingerprint(Path("/"), paths)
        rows = self.features[:0]
        if new:
            rows = np.array(extract(self._row, self.root, new, unfinished=unfinished))
        readable = np.isfinite(rows).all(axis=1)
        unreadable = {n: _why(self.root / n) for n, reads in zip(new, readable, strict=True) if not reads}
        new, rows = [name for name in new if name not in unreadable], rows[readable]
        copies = self._copies(new, rows) if new else {}
        kept = [row for row, name in enumerate(new) if name not in copies]
        added = [new[row] for row in kept]
        removed = [name for name in self.removed if name not in added]
        self._keep([*self.files, *added], np.concatenate([self.features, rows[kept]]), removed)
        remove(unfinished.parent)
        return Addition(added, known, copies, unreadable)

    def remove(self, images: Iterable[Path | str]) -> list[str]:
        """Takes images, named as in `files` or by their paths, out of the gallery; those that it had.

        Raises:
            RetrievalError: none would be left, or the gallery cannot be read or written.
        """
        with locked(self.folder, "gallery", "removing images"):
            self._read_again()
            there = set(self.files)
            names = {str(image) if str(image) in there else self._name(image) for image in images}
            stay = [row for row, file in enumerate(self.files) if file not in names]
            if not stay:
                raise RetrievalError("the gallery cannot be left without an image")
            gone = [file for file in self.files if file in names]
            removed = sorted({*self.removed, *filterfalse(is_added, gone)})
            self._keep([self.files[row] for row in stay], self.features[stay], removed)
        return gone

    def inside(self, path: Path) -> list[Path]:
        """The files of the gallery that are `path` or lie in it."""
        wanted, paths = _full(path), (_full(self.root / file) for file in self.files)
        return [each for each in paths if each == wanted or wanted in each.parents]

    def _name(self, path: Path | str) -> str:
        """A file as the gallery calls it."""
        full, root = _full(path), _full(self.root)
        return full.relative_to(root).as_posix() if full.is_relative_to(root) else str(full)

    def _row(self, source: Path | bytes) -> np.ndarray:
        """The features of an image, not a number if it cannot be read."""
        try:
            return self.model.encode(source)
        except RetrievalError:
            return np.full(self.features.shape[1], np.nan, np.float32)

    def _copies(self, new: Sequence[str], rows: np.ndarray) -> dict[str, str]:
        """The new images that equal one before them, each with the first of its equals."""
        everything, names = np.concatenate([self.features, rows]), [*self.files, *new]
        distances, positions = nearest(everything, rows, 2, method="exact")
        own = np.arange(len(self.files), len(names))
        first = np.where(distances < SAME, positions, len(names)).min(axis=1)
        return {names[row]: names[other] for row, other in zip(own, first, strict=True) if other < row}

    def _read_again(self) -> None:
        """Takes up what another process has done to the gallery since."""
        now = Retriever.load(self.folder, root=self.root)
        self.model, self.files, self.features, self.removed = now.model, now.files, now.features, now.removed

    def _keep(self, files: list[str], features: np.ndarray, removed: list[str]) -> None:
        write_gallery(self.folder, self.root, files, features, removed)
        self.files, self.features, self.removed = files, features, removed


def is_added(file: str) -> bool:
    """Whether a file of a gallery is not of the data set."""
    return file.startswith("/")


def write_gallery(
    folder: Path, root: Path, files: list[str], features: np.ndarray, removed: list[str]
) -> None:
    """Writes the gallery of the model in a folder; arguments are as the attributes of `Retriever`."""
    about = {"model": sha256(folder / MODEL), "root": str(root), "files": files, "removed": removed}
    formats.write(folder / GALLERY, {"features": features, "about": text_array(about)})


def _why(path: Path) -> str:
    """Why an image cannot be read."""
    try:
        open_image(path)
    except RetrievalError as error:
        return str(error)
    return f"{path} could not be read before"


def _full(path: Path | str) -> Path:
    """An absolute path. A link is called by its own name, as a file of the data set is."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def read_file(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a model or a gallery; a RetrievalError if the file is missing or damaged."""
    try:
        return formats.read(path)
    except FileNotFoundError:
        raise RetrievalError(f"{path} is missing: run `make`") from None
    except (OSError, ValueError) as error:
        raise RetrievalError(f"{path} {error}: delete it and run `make`") from None
