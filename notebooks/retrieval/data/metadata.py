"""What an image file holds beside its pixels, read before Pillow reads it: TIFF directories, PNG chunks."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO

from PIL import ExifTags

# A table of numbers may have this many entries, because Pillow makes an object of each entry, except in
# tables of these types.
TABLE_ENTRIES, BYTE_TYPES = 300_000, (1, 2, 6, 7)
# The bytes that a whole number takes, by its type in TIFF 6.0.
NUMBER_BYTES = {1: 1, 6: 1, 3: 2, 8: 2, 4: 4, 9: 4}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_METADATA = set(b"tEXt zTXt iTXt iCCP cHRM gAMA sRGB sBIT bKGD hIST pHYs sPLT tIME".split())


def check_tables(tiff: bytes) -> None:
    """Refuses a TIFF, or EXIF data, with a table of numbers that Pillow would take minutes to read.

    Raises:
        ValueError: it has one; says how long.
    """
    for _, kind, count, _ in _entries(tiff):
        # A count beyond the length of the file is harmless: Pillow notices that the bytes are missing.
        if kind not in BYTE_TYPES and TABLE_ENTRIES < count <= len(tiff):
            raise ValueError(f"a table of {count} entries is too long")


def orientation(tiff: bytes) -> int | None:
    """The orientation that a TIFF, or EXIF data, gives in its first directory; None if there is none.

    Pillow stops reading at a tag whose data lie outside, and then misses the tags behind it.
    """
    for tag, kind, count, value in _entries(tiff):
        if tag == ExifTags.Base.Orientation and kind in NUMBER_BYTES and count == 1:
            return int.from_bytes(value[: NUMBER_BYTES[kind]], "little" if tiff[:2] == b"II" else "big")
    return None


def without_metadata(png: bytes) -> bytes:
    """A PNG without the chunks that Pillow refuses if they are long or damaged.

    They do not change the picture. EXIF data may turn it: they stay, and their checksum is made anew.
    """
    kept, start, view = BytesIO(), len(PNG_SIGNATURE), memoryview(png)
    kept.write(PNG_SIGNATURE)
    while start + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, start)
        end = start + 12 + length
        if kind == b"eXIf":
            kept.write(view[start : end - 4])
            kept.write(struct.pack(">I", zlib.crc32(view[start + 4 : end - 4])))
        elif kind not in PNG_METADATA:
            kept.write(view[start:end])
        start = end
    return kept.getvalue()


def _entries(tiff: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Tag, type, count and value field of every entry of the first directory; none if it is no TIFF."""
    order, version = {b"II": "<", b"MM": ">"}.get(tiff[:2]), tiff[2:4].strip(b"\0")
    if order is None or version not in (b"*", b"+"):
        return
    # TIFF 6.0 and BigTIFF: where the first directory is, its length, and an entry.
    at, pointer, length, entry = {b"*": (4, "I", "H", "HHI4s"), b"+": (8, "Q", "Q", "HHQ8s")}[version]
    with suppress(struct.error):  # Pillow reports what is cut off
        (start,) = struct.unpack_from(order + pointer, tiff, at)
        (entries,) = struct.unpack_from(order + length, tiff, start)
        first, size = start + struct.calcsize(order + length), struct.calcsize(order + entry)
        for position in range(first, first + size * min(entries, 65535), size):
            yield struct.unpack_from(order + entry, tiff, position)
