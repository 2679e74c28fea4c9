"""Images in category folders: finding and opening them, and saying which set they are."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from retrieval import sample
from retrieval.errors import RetrievalError
from retrieval.settings import PROJECT

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
REAL_CATEGORIES, REAL_IMAGES = 45, 13_751
# Below this, a 60/20/20 split leaves a part without an image of the category.
LEAST_IMAGES = 5
GET_DATA = "run `make data` for the real set or `make DATA=folder` for one of your own"


@dataclass(frozen=True)
class Source:
    """Which set of images the figures belong to.

    Attributes:
        name: "synthetic sample", or the folder's name.
        images: how many are readable.
        categories: how many there are.
        sha256: of the lines "file sha256", sorted by file: the set's identity.
        is_sample: drawn by `sample.generate`.
    """

    name: str
    images: int
    categories: int
    sha256: str
    is_sample: bool

    @property
    def comparable(self) -> bool:
        """Whether this is the set that the reported figures were measured on."""
        return not self.is_sample and (self.categories, self.images) == (REAL_CATEGORIES, REAL_IMAGES)


def describe(root: Path, sha256: Mapping[str, str]) -> Source:
    """Which set of images `root` holds, by the SHA-256 of each readable file."""
    is_sample = (root / sample.MARKER).is_file()
    return Source(
        name="synthetic sample" if is_sample else root.resolve().name,
        images=len(sha256),
        categories=len({category_of(file) for file in sha256}),
        sha256=_digest(sorted(sha256.items())),
        is_sample=is_sample,
    )


def fingerprint(root: Path, files: Sequence[str]) -> str:
    """SHA-256 over names, sizes and times: tells cheaply whether a folder has changed."""
    # A link to nowhere has no status; reading it is what reports it.
    states = (path.stat() if path.exists() else None for path in map(root.joinpath, files))
    return _digest(
        (file, state and (state.st_size, state.st_mtime_ns))
        for file, state in zip(files, states, strict=True)
    )


def prepare(root: Path) -> None:
    """Draws the synthetic sample if `root` is its place and it is not there yet."""
    if root.resolve() == (PROJECT / "data" / "sample").resolve() and not root.exists():
        print(f"No data yet: drawing the synthetic sample. For real results, {GET_DATA}.")
        sample.generate(root)


def category_of(file: str) -> str:
    """The category of a relative path.

    >>> category_of("red_panda/2019/red_panda-0001.jpg")
    'red_panda'
    """
    return file.partition("/")[0]


def find_images(root: Path) -> list[str]:
    """Paths of the images below category folders, relative to `root`, with `/`, sorted.

    Hidden files and folders are left out. A category folder may be a link; links to folders below
    it are not followed, so that no loop can be entered.

    Raises:
        RetrievalError: the folder is missing, holds no images or those of one category only, a
            category has fewer than 5, or a name is not valid UTF-8.
    """
    if not root.is_dir():
        raise RetrievalError(f"{root} is not a folder: {GET_DATA}")
    folders = [folder for folder in root.iterdir() if _is_category(folder, root)]
    files = sorted(file.relative_to(root).as_posix() for folder in folders for file in _images_below(folder))
    if not files:
        raise RetrievalError(f"{root} holds no images as category/name.jpg: {GET_DATA}")
    for file in files:
        if not _is_unicode(file):
            raise RetrievalError(f"{root}/{file!a} has a name that is not UTF-8: rename it")
    check_categories(root, files)
    return files


def check_categories(root: Path, files: Sequence[str]) -> None:
    """Checks that there are at least 2 categories, of at least 5 images each.

    Raises:
        RetrievalError: there are not.
    """
    counts = Counter(map(category_of, files))
    if len(counts) < 2:
        raise RetrievalError(
            f"{root} has images of {next(iter(counts))} only, 2 categories are needed: {GET_DATA}"
        )
    for category, count in sorted(counts.items()):
        if count < LEAST_IMAGES:
            raise RetrievalError(
                f"{root / category} has {count} images, {LEAST_IMAGES} are needed to split them: "
                f"add some or move the folder away, or {GET_DATA}"
            )


def open_image(path: Path) -> Image.Image:
    """An image as 8-bit RGB, fully read.

    Rotated as its EXIF data says; the first frame of an animation; over white where transparent;
    16-bit greyscale scaled to 8 bits.

    Raises:
        RetrievalError: it is missing, damaged, truncated, not an image, or too large to decode.
    """
    return read_image(path)[0]


def read_image(path: Path) -> tuple[Image.Image, bytes]:
    """An image as `open_image` gives it, and the bytes of its file, which is read once."""
    try:
        content = path.read_bytes()
        return _decode(content), content
    except Exception as error:  # each of Pillow's decoders fails in its own ways
        reason = "not an image" if isinstance(error, Image.UnidentifiedImageError) else error
        reason = " ".join(str(getattr(error, "strerror", None) or reason).split())
        raise RetrievalError(f"{path} cannot be read ({reason}): replace it or delete it") from None


def _decode(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content))
    if image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels are too many")
    image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        return _to_8_bit(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits, scaled where `convert` would clip."""
    values = np.asarray(image, np.float64)
    low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else (values.min(), values.max())
    return Image.fromarray(np.round((values - low) * 255 / max(high - low, 1e-9)).astype(np.uint8))


def _is_category(folder: Path, root: Path) -> bool:
    """Whether a folder is visible and no link back to where it lies."""
    if folder.name.startswith(".") or not folder.is_dir():
        return False
    return not root.resolve().is_relative_to(folder.resolve())


def _images_below(folder: Path) -> Iterable[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield Path(parent, name)


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _digest(lines: Iterable[tuple[str, object]]) -> str:
    return hashlib.sha256("".join(f"{file} {value}\n" for file, value in lines).encode()).hexdigest()
