"""The images of a folder: finding them, and saying which data set they are."""

import hashlib
import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

from retrieval.data.decoding import HEIC_SUFFIXES, SUFFIXES
from retrieval.data.listing import listing, visible, visible_images
from retrieval.data.sample import drawing
from retrieval.errors import RetrievalError, SkippedError, shown
from retrieval.settings import PROJECT

REAL_CATEGORIES, REAL_IMAGES = 45, 13_751
REAL_SHA256 = "4f8e872ba1c48b0f918a7f04ab3341010013056b90ce18c38b10dc3faf01436f"
# With fewer images of a category, a 60/20/20 split leaves a part without any.
LEAST_IMAGES = 5
# Folders with these names are the parts of somebody's split.
SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}
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
        name="synthetic sample" if is_sample else shown(root.resolve().name),
        images=len(sha256),
        categories=len({category_of(file) for file in sha256} - {""}),
        sha256=_digest(sorted(sha256.items())),
        is_sample=is_sample,
    )


def fingerprint(root: Path, files: Sequence[str]) -> str:
    """SHA-256 over names, sizes and times: a cheap way to notice that a folder has changed."""
    return _digest((file, _size_and_time(f"{root}/{file}")) for file in files)


def prepare(root: Path) -> None:
    """Draws the synthetic sample if `root` is its place and nothing is there yet."""
    if root.resolve() == (PROJECT / "data" / "sample").resolve() and not root.exists():
        print(f"No data yet: drawing the synthetic sample. For real results, {GET_DATA}.")
        drawing.generate(root)


def category_of(file: str) -> str:
    """The category of a relative path: its first folder as `shown` gives it, or "" if there is none.

    >>> category_of("red_panda/2019/red_panda-0001.jpg"), category_of("IMG_0001.jpg")
    ('red_panda', '')
    """
    return shown(file.partition("/")[0]) if "/" in file else ""


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
    Hidden files and folders are left out, and so are the folders that `listing.visible` does not enter.

    Raises:
        RetrievalError: the folder is missing or has no images, a category has fewer than 5, two look the
            same, the categories lie in a deeper folder, a folder cannot be listed, or a name is not valid
            UTF-8.
    """
    with listing():
        if not root.is_dir():
            raise RetrievalError(f"{root} is not a folder: {GET_DATA}")
        images = visible_images(root)
    files = [file for file in images if "/" in file] or images
    if not files:
        others = "; ".join(left_out(root, files))
        raise RetrievalError(f"{root} holds no images{others and f' ({others})'}: {GET_DATA}")
    _check(root, files)
    return files


def left_out(root: Path, files: Sequence[str]) -> list[str]:
    """What else is in a data folder, one line per kind: how much, and why it is left out.

    Hidden files and folders do not count. `files` is the result of `find_images`.
    """
    found = set(files)
    kinds = Counter(kept_out or _kind(file) for file, kept_out in visible(root) if file not in found)
    return [shown(f"{count} x {kind}") for kind, count in sorted(kinds.items())]


def remarks(files: Sequence[str]) -> list[str]:
    """A line for each group of categories that only letter case tells apart."""
    alike = _alike(set(map(category_of, files)), lambda name: normalize("NFC", name).casefold())
    return [f"only letter case tells these categories apart: {', '.join(names)}" for names in alike]


def _check(root: Path, files: Sequence[str]) -> None:
    """Refuses names that are not UTF-8 or look the same, and categories of fewer than 5 images."""
    for file in files:
        try:
            file.encode()
        except UnicodeEncodeError:
            raise RetrievalError(f"{root / file} has a name that is not UTF-8: rename it") from None
    _check_layout(root, files)
    sizes = Counter(map(category_of, files))
    for names in _alike(sizes, lambda name: normalize("NFC", name)):
        raise RetrievalError(
            f"{root} has folders whose names look the same, {' and '.join(map(ascii, names))}: "
            "move their images into one of them"
        )
    for category, count in sorted(sizes.items()):
        if count < LEAST_IMAGES:
            raise RetrievalError(
                f"{root / category} has {count} images, {LEAST_IMAGES} are needed to split them: "
                f"add some or move the folder away, or {GET_DATA}"
            )


def _check_layout(root: Path, files: Sequence[str]) -> None:
    """Refuses a folder whose categories lie deeper: in a single folder, or in the parts of a split."""
    holder = os.path.commonpath({file.rpartition("/")[0] for file in files})
    files = [file.removeprefix(f"{holder}/") for file in files]
    sizes = Counter(map(category_of, files))
    deeper = Counter(category_of(file) for file in files if file.count("/") > 1)
    parts = [name for name in sizes if name.casefold() in SPLIT_NAMES]
    if len(parts) > 1 and (largest := max(parts, key=lambda name: deeper[name])) in deeper:
        raise RetrievalError(
            f"{root / holder} is already split into {', '.join(parts)}, which are no categories: name one, "
            f"as in `make {_as_setting(root / holder / largest)}`, or merge them"
        )
    if holder and "" not in sizes and sum(size >= LEAST_IMAGES for size in sizes.values()) > 1:
        raise RetrievalError(
            f"{root} has its category folders deeper inside: name their folder, "
            f"`make {_as_setting(root / holder)}`"
        )


def _as_setting(folder: Path) -> str:
    return f"DATA={shlex.quote(str(folder))}"


def _alike(categories: Iterable[str], form: Callable[[str], str]) -> list[list[str]]:
    """Groups of categories whose names are the same in some form."""
    groups = defaultdict(list)
    for name in sorted(categories):
        groups[form(name)].append(name)
    return [names for names in groups.values() if len(names) > 1]


def _kind(file: str) -> str:
    """The suffix of a file that is left out, and why it is."""
    suffix = Path(file).suffix.lower()
    if suffix in SUFFIXES:
        return f"{suffix}, in no category folder"
    if suffix in HEIC_SUFFIXES:
        return f"{suffix}, to be read once you run `.venv/bin/python -m pip install pillow-heif`"
    return f"{suffix or 'no suffix'}, not read"


def _size_and_time(path: str) -> tuple[int, int] | None:
    """None if the file is missing or hidden by permissions: reading it will report that."""
    try:
        status = os.stat(path)  # noqa: PTH116  (a Path of each of 100,000 files would take longer)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _digest(lines: Iterable[tuple[str, object]]) -> str:
    return hashlib.sha256("".join(f"{file} {value}\n" for file, value in lines).encode()).hexdigest()
