"""Images in category folders: finding and opening them, and saying which set they are."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import struct
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from retrieval import sample
from retrieval.errors import RetrievalError
from retrieval.settings import PROJECT

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
FILE_BYTES = 256 * 2**20
# The shorter side down to which a JPEG is decoded at a fraction of its size.
SHORTER_SIDE = 1024
# What decoding one image may take, of 1 GiB for the process, and what it takes a pixel: WebP's
# decoder keeps four copies at 4 bytes each.
MEMORY = 900_000_000
PIXEL_BYTES = 16
# The longest table of numbers in a TIFF, beside types that stay bytes: Pillow makes an object of each.
TABLE_ENTRIES, BYTE_TYPES = 300_000, (1, 2, 6, 7)
# What a progressive JPEG may add up to, seconds of work: usual ones have some ten scans.
SCANNED_PIXELS = 4_000_000_000
REAL_CATEGORIES, REAL_IMAGES = 45, 13_751
# `Source.sha256` of the real set: its names and the bytes of all its files.
REAL_SHA256 = "4f8e872ba1c48b0f918a7f04ab3341010013056b90ce18c38b10dc3faf01436f"
# Below this, a 60/20/20 split leaves a part without an image of the category.
LEAST_IMAGES = 5
GET_DATA = "run `make data` for the real set or `make DATA=folder` for one of your own"

# The limits here replace Pillow's, and what it says of damaged files says nothing of which.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


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
        return self.sha256 == REAL_SHA256


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
    states = map(_status, map(root.joinpath, files))
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
            category has fewer than 5, a folder cannot be listed, or a name is not valid UTF-8.
    """
    try:
        if not root.is_dir():
            raise RetrievalError(f"{root} is not a folder: {GET_DATA}")
        folders = [folder for folder in root.iterdir() if _is_category(folder, root)]
        files = sorted(
            file.relative_to(root).as_posix() for folder in folders for file in _images_below(folder)
        )
    except OSError as error:
        raise RetrievalError(
            f"{_shown(error.filename)} cannot be listed ({error.strerror}): allow it or move it away"
        ) from None
    if not files:
        raise RetrievalError(f"{root} holds no images as category/name.jpg: {GET_DATA}")
    for file in files:
        if not _is_unicode(file):
            raise RetrievalError(f"{_shown(root / file)} has a name that is not UTF-8: rename it")
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
                f"{_shown(root / category)} has {count} images, {LEAST_IMAGES} are needed to split them: "
                f"add some or move the folder away, or {GET_DATA}"
            )


def open_image(path: Path) -> Image.Image:
    """An image as 8-bit RGB, fully read.

    Rotated as its EXIF data says; the first frame of an animation or page of several; over white
    where transparent; greyscale of more than 8 bits scaled to 8. What the file contains counts, not
    its suffix.

    A JPEG whose shorter side has 2048 pixels or more is decoded at a half, quarter or eighth of its
    size, which leaves that side 1024 pixels or more: photographs of 200 megapixels can be used. Of
    other images, those of up to about 50 megapixels can. Decoding takes less than 1 GiB of memory.

    Raises:
        RetrievalError: it is missing, no regular file, damaged, truncated, not an image in one of
            FORMATS, or too large to read or to decode.
    """
    return read_image(path)[0]


def read_image(path: Path) -> tuple[Image.Image, bytes]:
    """An image as `open_image` gives it, and the bytes of its file, which is read once."""
    try:
        content = _read(path)
        return _decode(content), content
    except Exception as error:  # each of Pillow's decoders fails in its own ways
        reason = "not an image" if isinstance(error, Image.UnidentifiedImageError) else error
        reason = " ".join(str(getattr(error, "strerror", None) or reason).split())
        raise RetrievalError(
            f"{_shown(path)} cannot be read ({reason or 'damaged'}): replace it or delete it"
        ) from None


def _read(path: Path) -> bytes:
    status = path.stat()
    # A pipe may never end, nor may a device.
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    if status.st_size == 0:
        raise ValueError("empty")
    if status.st_size > FILE_BYTES:
        raise ValueError(f"{status.st_size} bytes are too many")
    return path.read_bytes()


def _decode(content: bytes) -> Image.Image:
    _check_tables(content)
    image = Image.open(BytesIO(content), formats=FORMATS)
    _check_tables(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))
    _check_cost(image, content)
    image.load()
    with suppress(SyntaxError, struct.error):  # EXIF data that cannot be read turn nothing
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode[0] in "IF":
        return _to_8_bit(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        over_white = Image.new("RGB", image.size, "white")
        over_white.paste(image, mask=image)
        return over_white
    return image.convert("RGB")


def _check_tables(content: bytes) -> None:
    """Refuses a TIFF, or EXIF data, with a table of numbers that would take Pillow minutes to read."""
    order, version = {b"II": "<", b"MM": ">"}.get(content[:2]), content[2:4].strip(b"\0")
    if order is None or version not in (b"*", b"+"):
        return
    # Where the first directory is; its length; tag, type and count of an entry: TIFF 6.0, and BigTIFF.
    at, pointer, length, entry, size = (
        (4, "I", "H", "HHI", 12) if version == b"*" else (8, "Q", "Q", "HHQ", 20)
    )
    with suppress(struct.error):  # what is cut off is for Pillow to report
        (start,) = struct.unpack_from(order + pointer, content, at)
        (entries,) = struct.unpack_from(order + length, content, start)
        first = start + struct.calcsize(order + length)
        for position in range(first, first + size * min(entries, 65535), size):
            _, kind, count = struct.unpack_from(order + entry, content, position)
            # More than there are bytes are not there: Pillow notices by itself.
            if kind not in BYTE_TYPES and TABLE_ENTRIES < count <= len(content):
                raise ValueError(f"a table of {count} entries is too long")


def _check_cost(image: Image.Image, content: bytes) -> None:
    """Refuses what takes too much memory or time, after having a large JPEG decoded smaller."""
    width, height = image.size
    scans = content.count(b"\xff\xda") if image.info.get("progressive") else 1
    if width * height * scans > SCANNED_PIXELS:
        raise ValueError(f"{width} x {height} pixels in {scans} scans are too many")
    taken = len(content) + _scan_bytes(image)
    image.draft(None, (SHORTER_SIDE, SHORTER_SIDE))
    if taken + PIXEL_BYTES * image.width * image.height > MEMORY:
        raise ValueError(f"{width} x {height} pixels are too many")


def _scan_bytes(image: Image.Image) -> int:
    """What a JPEG takes beside its pixels if it comes in several scans: 2 bytes a coefficient."""
    layers = getattr(image, "layer", None)
    if not layers:
        return 0
    sampling = np.array(layers)[:, 1:3]
    return int(2 * image.width * image.height * sampling.prod(axis=1).sum() / sampling.max(axis=0).prod())


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits, scaled where `convert` would clip."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.round(np.arange(65536) / 257).astype(np.uint8)[values])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    scale = 255 / (high - low) if high > low else 0.0
    # Converting cuts off the fraction, and clips what is infinite.
    return image.convert("F").point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


def _shown(path: Path | str) -> str:
    """A path on one line: quoted and escaped if not all of it prints."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def _is_category(folder: Path, root: Path) -> bool:
    """Whether a folder is visible and no link back to where it lies."""
    if folder.name.startswith(".") or not folder.is_dir():
        return False
    return not root.resolve().is_relative_to(folder.resolve())


def _images_below(folder: Path) -> Iterable[Path]:
    for parent, folders, names in os.walk(folder, onerror=_give_up):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield Path(parent, name)


def _give_up(error: OSError) -> None:
    raise error


def _status(path: Path) -> os.stat_result | None:
    """None for what is not there or not to be seen: reading it is what reports it."""
    try:
        return path.stat()
    except OSError:
        return None


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _digest(lines: Iterable[tuple[str, object]]) -> str:
    return hashlib.sha256("".join(f"{file} {value}\n" for file, value in lines).encode()).hexdigest()
