"""Images broken in every way that code can break them, and what opening each of them must give.

`python tests/data/broken_images.py 0 2` opens every second one, each in its own process, and prints a
line of JSON each.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms, features

from retrieval.data.decoding import FILE_BYTES, open_image
from retrieval.errors import RetrievalError, shown

# After these a process is ended, however busy the machine.
PATIENCE = 60
NOBODY = 65534
SIZE = (61, 47)
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}
VARIANTS = {
    "baseline.jpg": ("JPEG", {"quality": 92}),
    "progressive.jpg": ("JPEG", {"quality": 92, "progressive": True}),
    "full-colour.jpg": ("JPEG", {"quality": 92, "subsampling": 0, "optimize": True}),
    "restarts.jpg": ("JPEG", {"quality": 92, "restart_marker_rows": 1}),
    "plain.png": ("PNG", {}),
    "lossy.webp": ("WEBP", {"quality": 90}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "plain.gif": ("GIF", {}),
    "plain.bmp": ("BMP", {}),
    "raw.tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "deflate.tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "jpeg.tif": ("TIFF", {"compression": "jpeg"}),
    "packbits.tif": ("TIFF", {"compression": "packbits"}),
    "big.tif": ("TIFF", {"big_tiff": True}),
}
if features.check("avif"):
    SUFFIXES["AVIF"], VARIANTS["lossy.avif"] = ".avif", ("AVIF", {"quality": 90})
# Mean difference of 8-bit values that lossy compression and palettes are allowed.
LOSSY = 8.0


class Case(NamedTuple):
    """One file.

    Attributes:
        kind: how it is broken or unusual.
        name: of the file.
        content: its bytes, or what makes it at a path.
        wanted: the pixels it must give, uint8 `[height, width, 3]`; True: must be used; False: must
            be reported; None: either.
        tolerance: of the mean difference to `wanted`.
    """

    kind: str
    name: str
    content: bytes | Callable[[Path], Any]
    wanted: np.ndarray | bool | None = None
    tolerance: float = 0.0


def cases(seed: int = 0) -> Iterator[Case]:
    """All of them, the same for the same seed; no two have the same name."""
    rng = np.random.default_rng(seed)
    picture = scene(rng)
    makers = (
        *(
            truncated,
            damaged,
            swapped,
            not_images,
            tiny_and_long,
            bombs,
            large,
            animated,
            rotated,
            broken_exif,
        ),
        *(inks, deep, few_bits, transparent, profiles, pages, special_files, odd_names),
    )
    for make in makers:
        for number, case in enumerate(make(picture, rng)):
            kind = make.__name__.replace("_", " ")
            name = case.name if make is odd_names else f"{make.__name__}-{number}-{case.name}"
            yield case._replace(kind=kind, name=name)


def scene(rng: np.random.Generator) -> Image.Image:
    """A smooth picture without any symmetry."""
    coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def case(name: str, content: Any, wanted: Any = None, tolerance: float = 0.0) -> Case:
    return Case("", name, content, wanted, tolerance)


def variants(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    for name, (format, options) in VARIANTS.items():
        yield name, encode(picture, format, **options)


# Damage


def truncated(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    for name, content in variants(picture):
        for quarter in (1, 2, 3):
            yield case(name, content[: len(content) * quarter // 4], False)
        ends = [1, 2, 4, 8, 12, 16, 20, 30, len(content) - 1, len(content) - 2, len(content) - 4]
        for end in (*ends, *rng.integers(1, len(content), 5)):
            yield case(name, content[:end])


def damaged(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    for name, content in variants(picture):
        for region in (32, 200, len(content)):
            for flips in (1, 3, 20):
                for _ in range(2):
                    array = np.frombuffer(content, np.uint8).copy()
                    array[rng.integers(0, min(region, len(array)), flips)] ^= np.uint8(1 << rng.integers(8))
                    yield case(name, array.tobytes())
        for _ in range(3):
            start = int(rng.integers(8, len(content) - 40))
            before, run, after = content[:start], content[start : start + 32], content[start + 32 :]
            for new in (bytes(32), b"\xff" * 32, rng.bytes(32), b"", run + run):
                yield case(name, before + new + after)


def swapped(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    """Images under a wrong suffix, which are used, and formats that are not looked for."""
    for name, content in variants(picture):
        for suffix in SUFFIXES.values():
            yield case(name + suffix, content, pixels(picture), LOSSY)
    for format in ("PPM", "EPS", "ICO", "TGA", "JPEG2000", "PCX", "SGI", "ICNS"):
        for suffix in (".jpg", ".png"):
            yield case(format + suffix, encode(picture, format), False)


def not_images(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    contents = {
        "empty": b"",
        "one-byte": b"\xff",
        "nothing": bytes(5000),
        "noise": rng.bytes(5000),
        "text": b"This is\nno image.\n",
        "html": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        "zip": b"PK\x03\x04" + rng.bytes(500),
        "pdf": b"%PDF-1.7\n" + rng.bytes(500),
        "script": b"#!/bin/sh\ntouch x\n",
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "heic": b"\0\0\0\x18ftypheic" + bytes(500),
    }
    magic = {".jpg": b"\xff\xd8\xff", ".png": b"\x89PNG\r\n\x1a\n", ".webp": b"RIFF\0\1\0\0WEBP"}
    magic |= {".avif": b"\0\0\0\x1cftypavif"}
    magic |= {".gif": b"GIF89a", ".bmp": b"BM", ".tif": b"II*\0"}
    for suffix in SUFFIXES.values():
        for name, content in contents.items():
            yield case(name + suffix, content, False)
        yield case(f"magic{suffix}", magic[suffix], False)
        yield case(f"magic-and-noise{suffix}", magic[suffix] + rng.bytes(500), False)


# Size


def tiny_and_long(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    colour = (200, 100, 50)
    for format, suffix in SUFFIXES.items():
        longest = 16_383 if format == "WEBP" else 20_000
        for size in ((1, 1), (longest, 1), (1, longest), (longest, 60), (60, longest)):
            image = Image.new("RGB", size, colour)
            options = {"lossless": True} if format == "WEBP" else {}
            yield case(f"{size[0]}x{size[1]}{suffix}", encode(image, format, **options), pixels(image), 3.0)
    # Just so small that a JPEG is decoded at half its size, and just too small for it.
    for side, used in ((2048, 1024), (2047, 2047)):
        image, smaller = (Image.new("RGB", (edge + 100, edge), colour) for edge in (side, used))
        smaller = smaller.resize((used + 100 * used // side, used))
        yield case(f"{side}.jpg", encode(image, "JPEG"), pixels(smaller), 3.0)


def bombs(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    """Headers that claim much, data that become much, and much work in few bytes."""
    jpeg, bmp = encode(picture, "JPEG"), encode(picture, "BMP")
    gif, webp = encode(picture, "GIF"), encode(picture, "WEBP", lossless=True)
    frame = jpeg.index(b"\xff\xc0")
    for width, height in ((65_500, 65_500), (10_000, 9_000), (30_000, 3_000), (65_500, 1_000)):
        sides = f"{width}x{height}"
        for depth, colour in ((1, 0), (8, 6), (16, 6)):
            yield case(f"{sides}.png", png(width, height, depth, colour, b""), False)
        wide_jpeg = jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]
        yield case(f"{sides}.jpg", wide_jpeg)
        yield case(f"{sides}.bmp", bmp[:18] + struct.pack("<ii", width, height) + bmp[26:], False)
        yield case(f"{sides}-down.bmp", bmp[:18] + struct.pack("<ii", width, -height) + bmp[26:], False)
        yield case(f"{sides}.gif", gif[:6] + struct.pack("<HH", width, height) + gif[10:], False)
        frame_at = gif.index(b",\0\0\0\0") + 5
        wide_frame = gif[:frame_at] + struct.pack("<HH", width, height) + gif[frame_at + 4 :]
        yield case(f"{sides}-frame.gif", wide_frame, False)
        for order in "<>":
            content = tiff(order, {256: width, 257: height, 258: 8, 262: 1, 278: height})
            yield case(f"{sides}.tif", content, False)
        canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
        yield case(
            f"{sides}.webp", riff(b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas + webp[12:]), False
        )
    zeros = deflated_zeros(200 * 2**20)
    yield case("inflates.png", png(64, 64, 8, 2, zeros), True)
    yield case("7000.png", png(7000, 7000, 8, 0, deflated_zeros(7000 * 7001)), True)
    for chunk_type, header in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        yield case(f"{chunk_type.decode()}.png", with_chunk(chunk_type, header + zeros), True)
    texts = [b"zTXt", b"a\0\0" + deflated_zeros(2**20 - 1)]
    yield case("texts.png", with_chunk(*texts, times=200), True)
    yield case("scans.jpg", many_scans(Image.new("RGB", (4000, 4000)), 400), False)
    yield case(
        "few-scans.jpg", many_scans(Image.new("RGB", (500, 500)), 400), np.zeros((500, 500, 3), np.uint8)
    )
    for tag in (258, 273, 279, 282, 700, 34675):
        yield case("tag.tif", tiff("<", {256: 8, 257: 8, 258: 8, 262: 1} | {tag: (2**30, 0)}))


def large(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    """Just small enough to be used."""
    turned = Image.Exif()
    turned[0x0112] = 6
    wide, photograph = (8000, 6000), (12_000, 9_000)
    yield case("rgba.png", partial(blank, "RGBA", wide, compress_level=1), True)
    yield case("wide.png", partial(blank, "LA", (20_000, 2_500), compress_level=1), True)
    yield case("rgb.webp", partial(blank, "RGB", wide, method=0, quality=10), True)
    yield case("float.tif", partial(blank, "F", wide, compression="packbits"), True)
    yield case("cmyk.tif", partial(blank, "CMYK", wide, compression="tiff_lzw"), True)
    yield case("palette.gif", partial(blank, "P", wide, transparency=0), True)
    yield case("turned.jpg", partial(blank, "RGB", photograph, exif=turned), np.zeros((1500, 1125, 3)))
    yield case("progressive.jpg", partial(blank, "RGB", photograph, progressive=True, subsampling=0), True)
    yield case("panorama.jpg", partial(blank, "RGB", (30_000, 1_500)), True)


def blank(mode: str, size: tuple[int, int], path: Path, **options: Any) -> None:
    Image.new(mode, size).save(path, **options)


def png(width: int, height: int, depth: int, colour: int, data: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", data or zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(kind: bytes, body: bytes, *, times: int = 1) -> bytes:
    content = encode(Image.new("RGB", (8, 8)), "PNG")
    return content[:33] + chunk(kind, body) * times + content[33:]


def deflated_zeros(count: int) -> bytes:
    deflate = zlib.compressobj(1)
    pieces = [deflate.compress(bytes(2**20)) for _ in range(count // 2**20)]
    return b"".join([*pieces, deflate.compress(bytes(count % 2**20)), deflate.flush()])


def riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def many_scans(image: Image.Image, times: int) -> bytes:
    content = encode(image, "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * times + b"\xff\xd9"


def tiff(order: str, tags: dict[int, int | tuple[int, int]], *, data: bytes = b"", next_at: int = 0) -> bytes:
    """An uncompressed TIFF of one strip; a tag as (count, where) has its values there."""
    at = 8 + 2 + 12 * (len(tags.keys() | {259, 273, 277, 279})) + 4
    tags = {259: 1, 273: at, 277: 1, 279: len(data)} | tags
    entries = b""
    for tag, value in sorted(tags.items()):
        count, value = value if isinstance(value, tuple) else (1, value)
        entries += struct.pack(f"{order}HHII", tag, 4, count, value)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", next_at) + data


# What has more than pixels


def animated(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    frames = [picture.transpose(Image.Transpose.ROTATE_180), Image.new("RGB", SIZE, "red")]
    for format, suffix in (("GIF", ".gif"), ("WEBP", ".webp"), ("PNG", ".png"), ("TIFF", ".tif")):
        options = {"save_all": True, "append_images": frames, "duration": 50}
        options |= {"lossless": True} if format == "WEBP" else {}
        for disposal in (0, 1, 2):
            content = encode(picture, format, **options | {"disposal": disposal})
            yield case(f"moving{suffix}", content, pixels(picture), LOSSY)
            yield case(f"moving-cut{suffix}", content[: len(content) * 3 // 4])
            yield case(f"moving-cut{suffix}", content[: len(content) // 5], False)
    content = encode(picture, "PNG", save_all=True, append_images=frames, default_image=True)
    yield case("poster.png", content, pixels(picture))


def rotated(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    """Orientation n of the EXIF standard, stored so that all eight show the same picture."""
    undo = (None, 0, 3, 1, 5, 2, 6, 4)
    stored = [picture if turn is None else picture.transpose(turn) for turn in undo]
    for orientation, image in enumerate(stored, 1):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for name in ("baseline.jpg", "progressive.jpg", "plain.png", "lossless.webp", "raw.tif", "lzw.tif"):
            format, options = VARIANTS[name]
            content = encode(image, format, exif=exif, **options)
            yield case(f"{orientation}-{name}", content, pixels(picture), LOSSY)


def broken_exif(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    """All are used, as they lie."""
    whole = Image.Exif()
    whole[0x0112], whole[0x010E], whole[0x0132] = 1, "an owl", "2024:01:01 00:00:00"
    whole.get_ifd(0x8769)[0x9286] = "a comment"
    valid = whole.tobytes()
    blocks = {f"orientation-{number}": exif_block(0x0112, 3, 1, number) for number in (0, 9, 255, 65535)}
    blocks |= {f"type-{number}": exif_block(0x0112, number, 1, 6 << 16) for number in (0, 2, 5, 10, 12, 99)}
    blocks |= {"many": exif_block(0x0112, 3, 2**31, 6), "far": exif_block(0x010E, 2, 900, 2**31)}
    blocks |= {f"loop-{tag}": exif_block(tag, 4, 1, 8) for tag in (0x8769, 0x8825, 0xA005, 0x014A)}
    blocks |= {f"cut-{end}": valid[:end] for end in (7, 9, 13, 17, 25, len(valid) - 8)}
    blocks |= {f"noise-{number}": b"Exif\0\0II*\0" + rng.bytes(200) for number in range(6)}
    blocks |= {"no-exif": b"Exif\0\0" + rng.bytes(100), "other": rng.bytes(100)}
    for name, block in blocks.items():
        for format in ("JPEG", "PNG", "WEBP"):
            content = encode(picture, format, exif=block, **({"lossless": True} if format == "WEBP" else {}))
            yield case(name + SUFFIXES[format], content, pixels(picture), LOSSY)


def exif_block(tag: int, type: int, count: int, value: int) -> bytes:
    entry = struct.pack("<HHHII", 1, tag, type, count, value)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + entry + bytes(4)


def inks(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    """CMYK as Adobe writes it, inverted; YCCK, the same as YCbCr of the inverse; and CMYK TIFF."""
    wanted, cmyk = pixels(picture), picture.convert("CMYK")
    for progressive in (False, True):
        content = encode(cmyk, "JPEG", quality=95, subsampling=0, progressive=progressive)
        yield case("cmyk.jpg", content, wanted, LOSSY)
        inverse = Image.fromarray(255 - wanted).convert("YCbCr")
        bands = [band.point(lambda value: 255 - value) for band in inverse.split()]
        ycck = Image.merge("CMYK", (*bands, Image.new("L", SIZE, 0)))
        content = encode(ycck, "JPEG", quality=95, subsampling=0, progressive=progressive)
        transform = content.index(b"Adobe") + 11
        yield case("ycck.jpg", content[:transform] + b"\2" + content[transform + 1 :], wanted, LOSSY)
    for compression in (None, "tiff_lzw", "packbits"):
        yield case("cmyk.tif", encode(cmyk, "TIFF", compression=compression), wanted)
    # Before version 13, Pillow cannot read its own uncompressed ones.
    ycbcr = encode(picture.convert("YCbCr"), "TIFF", compression="tiff_lzw")
    yield case("ycbcr.tif", ycbcr, wanted, LOSSY)
    yield case("lab.tif", encode(Image.new("LAB", SIZE), "TIFF"))


def deep(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    """More than 8 bits: 65535 is white in 16 bits, the greatest finite value in others."""
    values = rng.integers(0, 65536, (9, 16), dtype=np.uint16)
    values[0, :2] = 0, 65535
    grey = np.round(values / 257).astype(np.uint8)[..., None].repeat(3, 2)
    yield case("i16.png", encode(Image.fromarray(values), "PNG"), grey)
    for compression in (None, "tiff_lzw"):
        yield case("i16.tif", encode(Image.fromarray(values), "TIFF", compression=compression), grey)
    for order in "<>":
        content = tiff(order, greyscale(16, 1), data=values.astype(f"{order}u2").tobytes())
        yield case("i16.tif", content, grey)
        signed, real = values.astype(np.int64) * 60_000 - 2**31, values.astype(np.float64) * 1e30 - 3e34
        content = tiff(order, greyscale(32, 2), data=signed.astype(f"{order}i4").tobytes())
        yield case("i32.tif", content, grey, 1.0)
        content = tiff(order, greyscale(32, 3), data=real.astype(f"{order}f4").tobytes())
        yield case("f32.tif", content, grey, 1.0)
        yield case("f64.tif", tiff(order, greyscale(64, 3), data=real.astype(f"{order}f8").tobytes()))
        odd, shown = real.astype(f"{order}f4"), grey.copy()
        odd[1, :3], shown[1, :3] = (np.nan, np.inf, -np.inf), np.array([[0], [255], [0]])
        yield case("odd-f32.tif", tiff(order, greyscale(32, 3), data=odd.tobytes()), shown, 1.0)
        for value in (np.nan, np.inf, -np.inf, 7.0, 3e38):
            flat = np.full((9, 16), value, f"{order}f4")
            yield case(f"flat-{value}.tif", tiff(order, greyscale(32, 3), data=flat.tobytes()), True)
    colours = rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)
    rows = np.concatenate([np.zeros((9, 1), np.uint8), colours.repeat(2, 2).reshape(9, -1)], axis=1)
    yield case("rgb16.png", png(16, 9, 16, 2, zlib.compress(rows.tobytes())), colours)
    extremes = np.array([[-3e38, 3e38]], np.float32)
    yield case("wide-f32.tif", encode(Image.fromarray(extremes), "TIFF"), np.array([[[0] * 3, [255] * 3]]))


def greyscale(bits: int, sample_format: int) -> dict[int, int]:
    return {256: 16, 257: 9, 258: bits, 262: 1, 278: 9, 339: sample_format}


def few_bits(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    one_bit = picture.convert("1")
    palette, grey = picture.quantize(16), picture.convert("L")
    for name, (format, options) in VARIANTS.items():
        if format in ("PNG", "BMP", "TIFF", "GIF") and name != "jpeg.tif":
            for image in (one_bit, palette, grey):
                yield case(f"{image.mode}-{name}", encode(image, format, **options), pixels(image))
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield case(f"{compression}.tif", encode(one_bit, "TIFF", compression=compression), pixels(one_bit))
    for bits in (1, 2, 4):
        content = encode(picture.quantize(2**bits), "PNG", bits=bits)
        yield case(f"{bits}.png", content, pixels(picture.quantize(2**bits)))
    yield case("grey.jpg", encode(grey, "JPEG", quality=95), pixels(grey), LOSSY)


def transparent(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    """Over white: value * alpha + 255 * (1 - alpha), rounded."""
    alpha = rng.integers(0, 256, SIZE[::-1], dtype=np.uint8)
    for mode in ("RGBA", "LA"):
        image = picture.convert(mode)
        image.putalpha(Image.fromarray(alpha))
        share = alpha[..., None] / 255
        wanted = np.round(pixels(image.convert(mode[:-1])) * share + 255 * (1 - share)).astype(np.uint8)
        for name, format, options in (
            *(
                ("plain.png", "PNG", {}),
                ("raw.tif", "TIFF", {}),
                ("lzw.tif", "TIFF", {"compression": "tiff_lzw"}),
            ),
            ("lossless.webp", "WEBP", {"lossless": True, "exact": True}),
        ):
            yield case(f"{mode}-{name}", encode(image, format, **options), wanted, 0.1)
    palette = picture.quantize(16)
    indices, colours = np.asarray(palette), pixels(palette)
    wanted = np.where((indices == 3)[..., None], 255, colours)
    yield case("keyed.gif", encode(palette, "GIF", transparency=3, optimize=False), wanted)
    yield case("keyed.png", encode(palette, "PNG", transparency=3), wanted)
    share = np.arange(0, 256, 17)[indices][..., None] / 255
    wanted = np.round(colours * share + 255 * (1 - share))
    yield case("shades.png", encode(palette, "PNG", transparency=bytes(range(0, 256, 17))), wanted, 0.1)
    one_bit = picture.convert("1")
    yield case("one-bit.png", encode(one_bit, "PNG", transparency=0), np.full((*SIZE[::-1], 3), 255))


def profiles(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    """ICC profiles are not looked at."""
    valid = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    valid = valid[:24] + bytes(12) + valid[36:]  # without the time it was made at
    blocks = {"valid": valid, "cut": valid[:90], "noise": rng.bytes(3000), "zeros": bytes(200)}
    for format, suffix in SUFFIXES.items():
        for name, block in (blocks | {"huge": rng.bytes(3_000_000)}).items():
            if format not in ("GIF", "BMP"):
                content = encode(picture, format, icc_profile=block)
                yield case(name + suffix, content, pixels(picture), LOSSY)


def pages(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    others = [Image.new("L", (500, 20), 9), Image.new("RGB", (3, 3), "red")]
    for compression in (None, "tiff_lzw", "jpeg"):
        content = encode(picture, "TIFF", save_all=True, append_images=others, compression=compression)
        yield case("three.tif", content, pixels(picture), LOSSY)
        yield case("three-cut.tif", content[: len(content) // 2])
    grey = rng.integers(0, 256, (9, 16), dtype=np.uint8)
    wanted, tags = grey[..., None].repeat(3, 2), greyscale(8, 1)
    for order in "<>":
        for next_at in (0, 8, 4, 1, 100, 2**31):
            content = tiff(order, tags, data=grey.tobytes(), next_at=next_at)
            yield case(f"next-{next_at}.tif", content, wanted)
        for tag in (0x8769, 0x8825, 0x014A):
            yield case("loop.tif", tiff(order, tags | {tag: 8}, data=grey.tobytes()), wanted)
        for where in (4, 0, 2**31):
            yield case(
                "lost.tif", (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", where), False
            )
        for tag, value in (
            (273, 2**31),
            (279, 2**31),
            (278, 0),
            (278, 2**31),
            (277, 9),
            (258, 7),
            (259, 9999),
        ):
            yield case(f"{tag}.tif", tiff(order, tags | {tag: value}, data=grey.tobytes()))


# What the file system holds


def special_files(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    content = encode(picture, "PNG")
    for suffix in SUFFIXES.values():
        for target in ("/dev/zero", "/dev/null", "/dev/random", "/proc/kmsg", "nowhere", "/", "."):
            yield case(f"link-to{target.replace('/', '-')}{suffix}", partial(link, target), False)
        yield case(f"pipe{suffix}", os.mkfifo, False)
        yield case(f"socket{suffix}", bind, False)
        yield case(f"folder{suffix}", Path.mkdir, False)
        yield case(f"itself{suffix}", lambda path: path.symlink_to(path), False)
        yield case(f"sparse{suffix}", sparse(b"", 5 * 2**30), False)
        yield case(f"missing{suffix}", lambda path: None, False)
        yield case(f"forbidden{suffix}", forbidden, False)
    yield case("padded.png", sparse(content, FILE_BYTES), pixels(picture))
    yield case("too-long.png", sparse(content, FILE_BYTES + 1), False)
    yield case("linked.png", lambda path: path.symlink_to(original(path, content)), pixels(picture))


def link(target: str, path: Path) -> None:
    path.symlink_to(target)


def bind(path: Path) -> None:
    # The name of a socket may have 107 bytes at most.
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def sparse(content: bytes, size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content)
        os.truncate(path, size)

    return make


def forbidden(path: Path) -> None:
    path.write_bytes(b"GIF89a")
    path.chmod(0)


def original(path: Path, content: bytes) -> Path:
    target = path.with_name("original of a link")
    target.write_bytes(content)
    return target


def odd_names(picture: Image.Image, rng: np.random.Generator) -> Iterator[Case]:
    content, wanted = encode(picture, "PNG"), pixels(picture)
    names = ("a\nb", "a\r\nb", "a\tb", "a\x1b[31mb", "\x7f", "it's", 'a"b', "<script>alert(1)<", "$(touch x)")
    names += (
        "`touch x`",
        "-rf",
        "--help",
        " ",
        "a  b",
        "%s%d",
        "{path}",
        "a\\nb",
        "*",
        "?",
        "[a]",
        "~",
        "#",
        "&",
        ";",
    )
    names += (
        "x" * 240,
        "ü" * 120,
        "狐\u3000狸",
        "\u202efdp",
        "\ufeff",
        "e\u0301",
        "CON",
        "a:b",
        "a|b",
        "....",
    )
    names += (os.fsdecode(b"f\xfcchsin"), os.fsdecode(b"\xff\xfe"))
    for name in names:
        yield case(f"{name}.png", content, wanted)
        yield case(f"{name}.jpg", b"no image", False)


# Opening


def verdict(case: Case, path: Path) -> str:
    """ "used" or "reported" where that is right, else what is wrong."""
    try:
        image = open_image(path)
    except RetrievalError as error:
        return reported(case, path, str(error))
    except BaseException as error:
        return f"crashed: {error!r}"
    if image.mode != "RGB" or min(image.size) < 1 or case.wanted is False:
        return f"wrongly used: {image}"
    if isinstance(case.wanted, np.ndarray):
        found = np.asarray(image)
        if found.shape != case.wanted.shape:
            return f"wrong shape: {found.shape}, not {case.wanted.shape}"
        difference = np.abs(found.astype(float) - case.wanted).mean()
        if difference > case.tolerance:
            return f"wrong pixels: {difference} apart"
    return "used"


def reported(case: Case, path: Path, message: str) -> str:
    if case.wanted is not None and case.wanted is not False:
        return f"wrongly refused: {message}"
    clear = shown(path) in message and shown(message) == message and "replace it or delete it" in message
    return "reported" if clear else f"unclear: {message}"


def outcome(case: Case, path: Path) -> dict[str, Any]:
    """Opens a file in a process of its own, which is ended after PATIENCE."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        signal.alarm(PATIENCE)
        if case.content is forbidden and os.geteuid() == 0:
            os.setuid(NOBODY)
        os.write(writer, verdict(case, path).encode(errors="replace"))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        found = pipe.read()
    _, status, usage = os.wait4(child, 0)
    found = found if status == 0 else f"ended by signal {status}"
    seconds = usage.ru_utime + usage.ru_stime
    return {
        "kind": case.kind,
        "name": case.name,
        "outcome": found,
        "seconds": seconds,
        "kib": usage.ru_maxrss,
    }


def main(part: int, parts: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for number, case in enumerate(cases()):
            if number % parts == part:
                path = Path(folder, case.name)
                case.content(path) if callable(case.content) else path.write_bytes(case.content)
                print(json.dumps(outcome(case, path)))
                if path.is_file():
                    path.unlink()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
