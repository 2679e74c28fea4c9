"""The images of a folder: finding them, and saying which data set they are."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.data.decoding import HEIC_SUFFIXES, SUFFIXES
from retrieval.data.sample import drawing
from retrieval.errors import RetrievalError, SkippedError, shown
from retrieval.settings import PROJECT

REAL_CATEGORIES, REAL_IMAGES = 45, 13_751
REAL_SHA256 = "4f8e872ba1c48b0f918a7f04ab3341010013056b90ce18c38b10dc3faf01436f"
# With fewer images of a category, a 60/20/20 split leaves a part without any.
LEAST_IMAGES = 5
GET_DATA = "run `make data` for the real set or `make DATA=folder` for one of your own"


@dataclass(frozen=True)
class Source:
    """The data set that figures belong to.

    Attributes:
        name: "synthetic sample", or the folder's name.
        images: how many are readable.
        categories: how many there are; 0 for a flat folder.
        sha256: hash of the lines "file sha256", sorted by file: the set's identity.
    """

    name: str
    images: int
    categories: int
    sha256: str
    is_sample: bool

    @property
    def comparable(self) -> bool:
        """Whether this is the set that the reported figures were measured on."""
        return self.sha256 == REAL_SHA256


def describe(root: Path, sha256: Mapping[str, str]) -> Source:
    """The data set in `root`, given the SHA-256 of each readable file."""
    is_sample = (root / drawing.MARKER).is_file()
    return Source(
        name="synthetic sample" if is_sample else root.resolve().name,
        images=len(sha256),
        categories=len({category_of(file) for file in sha256} - {""}),
        sha256=_digest(sorted(sha256.items())),
        is_sample=is_sample,
    )


def fingerprint(root: Path, files: Sequence[str]) -> str:
    """SHA-256 over names, sizes and times: a cheap way to notice that a folder has changed."""
    return _digest((file, _size_and_time(root / file)) for file in files)


def prepare(root: Path) -> None:
    """Draws the synthetic sample if `root` is its place and nothing is there yet."""
    if root.resolve() == (PROJECT / "data" / "sample").resolve() and not root.exists():
        print(f"No data yet: drawing the synthetic sample. For real results, {GET_DATA}.")
        drawing.generate(root)


def category_of(file: str) -> str:
    """The category of a relative path: its first folder, or "" if there is none.

    >>> category_of("red_panda/2019/red_panda-0001.jpg"), category_of("IMG_0001.jpg")
    ('red_panda', '')
    """
    return file.partition("/")[0] if "/" in file else ""


def need_categories(data: Mapping[str, Any]) -> None:
    """Stops a step that learns from categories, or measures by them, if `dataset.json` says there are none.

    Raises:
        SkippedError: there are fewer than 2 categories.
    """
    if data["categories"] < 2:
        raise SkippedError(
            f"{data['name']} has not two category folders, and without labels there is nothing to compare"
        )


def find_images(root: Path) -> list[str]:
    """Paths of the images in category folders, relative to `root`, with `/`, sorted.

    If no category folder has any, they are the images in `root` itself: a flat folder without categories.
    Hidden files and folders are left out. A category folder may be a link. Links to folders below
    it are not followed, because they may loop.

    Raises:
        RetrievalError: the folder is missing or has no images, a category has fewer than 5, a folder
            cannot be listed, or a name is not valid UTF-8.
    """
    try:
        if not root.is_dir():
            raise RetrievalError(f"{root} is not a folder: {GET_DATA}")
        folders = [folder for folder in root.iterdir() if _is_category(folder, root)]
        files = sorted(file for folder in folders for file in _images_below(folder, root)) or sorted(
            file.name for file in root.iterdir() if _is_image(file.name) and not file.is_dir()
        )
    except OSError as error:
        raise RetrievalError(
            f"{shown(error.filename)} cannot be listed ({error.strerror}): allow it or move it away"
        ) from None
    if not files:
        others = "; ".join(left_out(root, files))
        raise RetrievalError(f"{root} holds no images{others and f' ({others})'}: {GET_DATA}")
    _check(root, files)
    return files


def left_out(root: Path, files: Sequence[str]) -> list[str]:
    """The other files in a data folder, one line per suffix: how many, and why they are left out.

    Hidden files and folders do not count. `files` is the result of `find_images`.
    """
    everything = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    visible = {path.as_posix() for path in everything if not any(part.startswith(".") for part in path.parts)}
    kinds = Counter(Path(file).suffix.lower() for file in visible - set(files))
    return [f"{count} x {kind or 'no suffix'}, {_reason(kind)}" for kind, count in sorted(kinds.items())]


def _check(root: Path, files: Sequence[str]) -> None:
    """Refuses names that are not UTF-8, and categories of fewer than 5 images."""
    for file in files:
        if any("\ud800" <= letter <= "\udfff" for letter in file):
            raise RetrievalError(f"{shown(root / file)} has a name that is not UTF-8: rename it")
    for category, count in sorted(Counter(map(category_of, files)).items()):
        if count < LEAST_IMAGES:
            raise RetrievalError(
                f"{shown(root / category)} has {count} images, {LEAST_IMAGES} are needed to split them: "
                f"add some or move the folder away, or {GET_DATA}"
            )


def _is_category(folder: Path, root: Path) -> bool:
    """Whether a folder is visible, and not a link to a folder that contains it."""
    if folder.name.startswith(".") or not folder.is_dir():
        return False
    return not root.resolve().is_relative_to(folder.resolve())


def _images_below(folder: Path, root: Path) -> Iterable[str]:
    def give_up(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=give_up):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(parent).relative_to(root).as_posix()
        yield from (f"{below}/{name}" for name in names if _is_image(name))


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _reason(kind: str) -> str:
    """Why files with this suffix are left out."""
    if kind in SUFFIXES:
        return "in no category folder"
    if kind in HEIC_SUFFIXES:
        return "to be read once you run `.venv/bin/python -m pip install pillow-heif`"
    return "not read"


def _size_and_time(path: Path) -> tuple[int, int] | None:
    """None if the file is missing or hidden by permissions: reading it will report that."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _digest(lines: Iterable[tuple[str, object]]) -> str:
    return hashlib.sha256("".join(f"{file} {value}\n" for file, value in lines).encode()).hexdigest()
