"""Opening image files, whatever they hold, in bounded time and memory."""

from __future__ import annotations

import logging
import stat
import struct
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from retrieval.errors import RetrievalError, shown

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
# What phones write, where the optional package that reads it is installed: it turns pictures upright itself.
HEIC_SUFFIXES = (".heic", ".heif")
with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()
    FORMATS, SUFFIXES = (*FORMATS, "HEIF"), (*SUFFIXES, *HEIC_SUFFIXES)
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

# The limits here replace Pillow's, and what it says of damaged files says nothing of which.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def open_image(source: Path | bytes) -> Image.Image:
    """An image file, or what was in one, as 8-bit RGB, fully read.

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
    return read_image(source)[0]


def read_image(source: Path | bytes) -> tuple[Image.Image, bytes]:
    """An image as `open_image` gives it, and the bytes of its file, which is read once."""
    try:
        content = source if isinstance(source, bytes) else _read(source)
        return _decode(content), content
    except Exception as error:  # each of Pillow's decoders fails in its own ways
        reason = "not an image" if isinstance(error, Image.UnidentifiedImageError) else error
        reason = " ".join(str(getattr(error, "strerror", None) or reason).split())
        name = "the image" if isinstance(source, bytes) else shown(source)
        raise RetrievalError(
            f"{name} cannot be read ({reason or 'damaged'}): replace it or delete it"
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
