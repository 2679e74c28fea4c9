"""Opening image files, whatever they contain, in bounded time and memory."""

import logging
import stat
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, features
from PIL.Image import Transpose

from retrieval.data.metadata import PNG_SIGNATURE, check_tables, orientation, without_metadata
from retrieval.errors import RetrievalError

FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
SUFFIXES: tuple[str, ...] = (*JPEG_SUFFIXES, ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
if "avif" in features.get_supported_modules():
    FORMATS, SUFFIXES = (*FORMATS, "AVIF"), (*SUFFIXES, ".avif")
# Phones write HEIC. It is read if the optional package is installed, which turns pictures upright itself.
HEIC_SUFFIXES = (".heic", ".heif")
with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()
    FORMATS, SUFFIXES = (*FORMATS, "HEIF"), (*SUFFIXES, *HEIC_SUFFIXES)
# What turns a picture upright, by its EXIF orientation.
TURNS: dict[object, Transpose] = {
    **{2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM},
    **{5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90},
}
# A large JPEG is decoded at a fraction of its size, down to this shorter side.
SHORTER_SIDE = 1024

# The limits. A file may have this many bytes.
FILE_BYTES = 256 * 2**20
# Decoding may take this many bytes, and takes this many per pixel: WebP keeps four copies at 4 bytes each.
MEMORY = 900_000_000
PIXEL_BYTES = 16
# The scans of a progressive JPEG, usually about ten, may add up to this many pixels: seconds of work.
SCANNED_PIXELS = 4_000_000_000

# These limits replace Pillow's. Pillow's warnings about damaged files do not name the file.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def open_image(source: Path | bytes) -> Image.Image:
    """An image file, or its bytes, as 8-bit RGB, fully read.

    The picture is turned as its EXIF data says. Of an animation or a file of several pages it is the
    first. Transparency is laid over white. Greyscale of more than 8 bits is scaled to 8. The content
    decides the format, not the suffix. A JPEG whose shorter side has 2048 pixels or more is decoded at a
    half, quarter or eighth of its size, which leaves that side at least 1024 pixels: 200 megapixels can
    be used. Other formats can have about 50. Decoding takes less than 1 GiB of memory.

    Raises:
        RetrievalError: the file is missing, not a regular file, damaged, truncated, not an image in
            one of FORMATS, or too large to read or to decode.
    """
    return read_image(source)[0]


def read_image(source: Path | bytes) -> tuple[Image.Image, str, bytes]:
    """An image as `open_image` gives it, its mode in the file, and the file's bytes, which are read once."""
    try:
        content = source if isinstance(source, bytes) else _read(source)
        return *_decode(content), content
    except Exception as error:  # each of Pillow's decoders fails in its own ways
        unknown = isinstance(error, Image.UnidentifiedImageError)
        install = _install_reader(content) if unknown else ""
        reason = "not an image" if unknown else str(getattr(error, "strerror", None) or error)
        reason = "its reader is missing" if install else " ".join(reason.split()) or "damaged"
        name = "the image" if isinstance(source, bytes) else source
        raise RetrievalError(f"{name} cannot be read ({reason}): {install}replace it or delete it") from None


def _install_reader(content: bytes) -> str:
    """What to run first for a picture whose reader is not installed, or ""."""
    brands = content[8:40] if content[4:8] == b"ftyp" else b""  # ISO/IEC 14496-12
    if b"avif" in brands:
        package = "" if "avif" in features.get_supported_modules() else "--upgrade pillow"
    else:
        heic = any(brand in brands for brand in (b"heic", b"heix", b"mif1"))
        package = "pillow-heif" if heic and "HEIF" not in FORMATS else ""
    return package and f"run `.venv/bin/python -m pip install {package}`, "


def _decode(content: bytes) -> tuple[Image.Image, str]:
    """The picture and its mode in the file. If a PNG fails, it is tried without its metadata."""
    try:
        return _picture(content)
    except Exception:
        if not content.startswith(PNG_SIGNATURE):
            raise
    return _picture(without_metadata(content), beside=len(content))


def _picture(content: bytes, *, beside: int = 0) -> tuple[Image.Image, str]:
    """The same of content that lies in memory beside so many other bytes."""
    check_tables(content)
    image: Image.Image = Image.open(BytesIO(content), formats=FORMATS)
    mode = image.mode
    _check_cost(image, content, beside=beside)
    image.load()
    return _to_rgb(_upright(image)), mode


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data says, or else its XMP data; Pillow has turned a TIFF by itself.

    `ImageOps.exif_transpose` also writes the EXIF data back, and fails if one of its tags is malformed.
    """
    exif = image.info.get("exif", b"").removeprefix(b"Exif\0\0")
    check_tables(exif)
    if (turn := orientation(exif)) is None:
        with suppress(Exception):  # unreadable data fail in many ways, and then say nothing
            turn = image.getexif().get(ExifTags.Base.Orientation)
    return image.transpose(TURNS[turn]) if turn in TURNS else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode[0] in "IF":
        return _to_8_bit(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        over_white = Image.new("RGB", image.size, "white")
        over_white.paste(image, mask=image)
        return over_white
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits, scaled to 8; `convert` alone would clip."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.round(np.arange(65536) / 257).astype(np.uint8)[values])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    scale = 255 / (high - low) if high > low else 0.0
    # Converting cuts off the fraction, and clips infinite values.
    return image.convert("F").point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


def _read(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device may never end
        raise ValueError("not a regular file")
    if status.st_size == 0:
        raise ValueError("empty")
    if status.st_size > FILE_BYTES:
        raise ValueError(f"{status.st_size} bytes are too many")
    return path.read_bytes()


def _check_cost(image: Image.Image, content: bytes, *, beside: int) -> None:
    """Refuses an image that takes too much memory or time; has a large JPEG decoded smaller."""
    width, height = image.size
    scans = content.count(b"\xff\xda") if image.info.get("progressive") else 1
    if width * height * scans > SCANNED_PIXELS:
        raise ValueError(f"{width} x {height} pixels in {scans} scans are too many")
    taken = beside + len(content) + _scan_bytes(image)
    image.draft(None, (SHORTER_SIDE, SHORTER_SIDE))
    if taken + PIXEL_BYTES * image.width * image.height > MEMORY:
        raise ValueError(f"{width} x {height} pixels are too many")


def _scan_bytes(image: Image.Image) -> int:
    """The bytes that a JPEG of several scans takes beside its pixels: 2 per coefficient."""
    layers = getattr(image, "layer", None)
    if not layers:
        return 0
    sampling = np.array(layers)[:, 1:3]
    return int(2 * image.width * image.height * sampling.prod(axis=1).sum() / sampling.max(axis=0).prod())
