"""Opening image files of every kind."""

from __future__ import annotations

import os
import shutil
import struct
import time
import zlib
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pictures import fails, scene
from PIL import Image, features

from retrieval.data import decoding
from retrieval.data.dataset import find_images
from retrieval.data.decoding import open_image
from retrieval.data.images import encoded
from retrieval.data.metadata import orientation


def colour_at(path: Path, x: int = 0, y: int = 0) -> tuple[int, int, int]:
    image = open_image(path)
    assert image.mode == "RGB"
    return image.getpixel((x, y))


def test_16_bit_greyscale_is_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(2, 0)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.array_equal(np.asarray(open_image(tmp_path / "deep.png"))[0, :, 0], np.arange(256))


def test_floating_point_greyscale_is_scaled(tmp_path):
    Image.fromarray(np.array([[-1.0, 3.0]], np.float32)).save(tmp_path / "float.tif")
    assert np.asarray(open_image(tmp_path / "float.tif"))[0, :, 0].tolist() == [0, 255]


def test_transparency_of_every_kind_is_laid_over_white(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "rgba.png")
    Image.new("LA", (4, 4), (0, 0)).save(tmp_path / "la.png")
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 255, 0, 255, 0])
    palette.save(tmp_path / "palette.png", transparency=1)
    Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / "keyed.png", transparency=(9, 9, 9))
    for name in ("rgba.png", "la.png", "palette.png", "keyed.png"):
        assert colour_at(tmp_path / name) == (255, 255, 255), name
    Image.new("RGBA", (4, 4), (255, 0, 0, 128)).save(tmp_path / "half.png")
    assert colour_at(tmp_path / "half.png") == (255, 127, 127)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_with_an_endless_table_is_refused_before_it_is_read(tmp_path, order: str, big: bool):
    mark = b"II" if order == "<" else b"MM"
    if big:
        head = struct.pack(order + "HHHQQ", 43, 8, 0, 16, 1) + struct.pack(order + "HHQQ", 282, 5, 2**24, 44)
    else:
        head = struct.pack(order + "HIH", 42, 8, 1) + struct.pack(order + "HHII", 282, 5, 2**24, 26)
    (tmp_path / "table.tif").write_bytes(mark + head)
    os.truncate(tmp_path / "table.tif", 2**27 + 64)
    started = time.monotonic()
    fails(lambda: open_image(tmp_path / "table.tif"), "table.tif", "a table of 16777216 entries is too long")
    assert time.monotonic() - started < 5


def test_cmyk_greyscale_and_palette_become_rgb(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=95)
    red, green, blue = colour_at(tmp_path / "cmyk.jpg")
    assert red > 240 and green < 15 and blue < 15
    Image.new("L", (4, 4), 77).save(tmp_path / "grey.png")
    assert colour_at(tmp_path / "grey.png") == (77, 77, 77)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read_where_pillow_can(tmp_path):
    image = Image.new("RGB", (64, 32), "white")
    image.paste("black", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(5):
        image.save(tmp_path / f"{number}.AVIF", exif=exif)
    assert len(find_images(tmp_path)) == 5
    assert open_image(tmp_path / "0.AVIF").size == (32, 64)
    assert max(colour_at(tmp_path / "0.AVIF", 16, 8)) < 50 < 200 < min(colour_at(tmp_path / "0.AVIF", 16, 56))


def test_heic_is_read_where_its_reader_is_installed(tmp_path):
    reader = pytest.importorskip("pillow_heif")
    image = Image.new("RGB", (64, 32), "white")
    image.paste("black", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    reader.from_pillow(image).save(tmp_path / "still.HEIC", exif=exif.tobytes())
    for number in range(4):
        shutil.copy(tmp_path / "still.HEIC", tmp_path / f"{number}.heif")
    assert len(find_images(tmp_path)) == 5
    assert open_image(tmp_path / "still.HEIC").size == (32, 64)
    assert max(colour_at(tmp_path / "still.HEIC", 16, 8)) < 50
    assert min(colour_at(tmp_path / "still.HEIC", 16, 56)) > 200


def test_exif_rotation_is_honoured(tmp_path):
    image = Image.new("RGB", (32, 16), "white")
    image.paste("black", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert open_image(tmp_path / "turned.jpg").size == (16, 32)
    assert (
        max(colour_at(tmp_path / "turned.jpg", 8, 4))
        < 50
        < 200
        < min(colour_at(tmp_path / "turned.jpg", 8, 28))
    )


def exif_with(orientation: int, malformed: tuple[int, int, int, bytes], *, order: str = "<") -> bytes:
    """EXIF data of two tags: the orientation, and a tag, type, count and value."""
    tags = sorted([(0x0112, 3, 1, struct.pack(f"{order}HH", orientation, 0)), malformed])
    entries = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in tags)
    head = b"II*\0" if order == "<" else b"MM\0*"
    return b"Exif\0\0" + head + struct.pack(f"{order}IH", 8, len(tags)) + entries + bytes(4)


TYPES, OUTSIDE = range(14), (b"72 \0", b"\xff\xff\xff\xff", b"\x08\0\0\0")


@pytest.mark.parametrize("order", ["<", ">"])
def test_no_malformed_exif_tag_hides_the_orientation(order: str):
    tags = (0, 0x0100, 0x010E, 0x0111, 0x011A, 0x0128, 0x02BC, 0x8298, 0x8769, 0x8825, 0xFFFF)
    counts = (0, 1, 2, 4, 1000, 2**31, 2**32 - 1)
    for turn, *malformed in product(range(1, 9), tags, TYPES, counts, OUTSIDE):
        exif = exif_with(turn, tuple(malformed), order=order)
        assert orientation(exif.removeprefix(b"Exif\0\0")) == turn, malformed


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_whatever_other_exif_tags_say(format):
    picture = scene(1).resize((24, 16))
    undo = (None, 0, 3, 1, 5, 2, 6, 4)
    wrong = set()
    for number, turn in enumerate(undo, 1):
        stored = picture if turn is None else picture.transpose(turn)
        for malformed in product((0x010E, 0x011A, 0x8769), TYPES, (1, 4), OUTSIDE):
            exif = exif_with(number, malformed)
            found = open_image(encoded(stored, format, exif=exif, quality=95, subsampling=0, lossless=True))
            if found.size != picture.size or np.abs(np.subtract(found, picture, dtype=float)).mean() > 5:
                wrong.add((number, *malformed))
    assert not wrong


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert colour_at(tmp_path / "moving.gif") == (255, 0, 0)


def test_unreadable_files_are_named_in_one_line(tmp_path):
    buffer = BytesIO()
    scene(0, 256).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    (tmp_path / "text.jpg").write_text("not\nan image")
    (tmp_path / "empty.png").touch()
    for name in ("cut.jpg", "text.jpg", "empty.png", "missing.jpg"):
        fails(lambda name=name: open_image(tmp_path / name), name, "replace it or delete it")


def chunk(kind: bytes, body: bytes, *, flip: int = 0) -> bytes:
    """A chunk of a PNG; `flip` damages its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ flip)


LONG = zlib.compress(os.urandom(2**21))
TEXTS = {
    "text": (b"zTXt", b"a\0\0" + LONG),
    "bomb": (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**28))),
    "international text": (b"iTXt", b"a\0\1\0\0\0" + LONG),
    "plain text": (b"tEXt", b"a\0" + bytes(2**26 + 1)),
    "colour profile": (b"iCCP", b"a\0\0" + LONG),
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_long_texts_and_profiles_keep_no_png_from_being_read(name: str, after: bool):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.new("P", (8, 4)), "PNG", transparency=0, exif=exif)
    place = content.index(b"IEND" if after else b"PLTE") - 4
    found = open_image(content[:place] + chunk(*TEXTS[name]) + content[place:])
    assert found.size == (4, 8) and found.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", b"tEXt zTXt iTXt iCCP eXIf gAMA pHYs tIME PLTE tRNS IHDR".split())
def test_a_wrong_checksum_matters_only_where_it_guards_the_picture(kind: bytes):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.new("P", (8, 4)), "PNG", transparency=0, exif=exif)
    if (place := content.find(kind) - 4) < 0:
        place = content.index(b"PLTE") - 4
        content = content[:place] + chunk(kind, bytes(9)) + content[place:]
    (length,) = struct.unpack_from(">I", content, place)
    body = content[place + 8 : place + 8 + length]
    damaged = content[:place] + chunk(kind, body, flip=1) + content[place + 12 + length :]
    if kind in (b"PLTE", b"tRNS", b"IHDR"):
        fails(lambda: open_image(damaged), "the image cannot be read")
    else:
        assert open_image(damaged).size == (4, 8)
        place = damaged.index(b"IDAT")
        fails(lambda: open_image(damaged[: place + 6]), "the image cannot be read")


@pytest.mark.parametrize("reader", [True, False])
@pytest.mark.parametrize(
    ("brands", "package"),
    [
        *((b"heic", "pillow-heif"), (b"heix", "pillow-heif"), (b"mif1\0\0\0\0mif1heic", "pillow-heif")),
        *((b"avif", "--upgrade pillow"), (b"mif1\0\0\0\0mif1avif", "--upgrade pillow")),
    ],
)
def test_the_reader_to_install_is_named_if_it_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brands: bytes, package: str, reader: bool
) -> None:
    """From the content alone: phones and sites also call such files .jpg."""
    monkeypatch.setattr(decoding, "FORMATS", ("JPEG", "HEIF") if reader else ("JPEG",))
    monkeypatch.setitem(Image.OPEN, "HEIF", (None, lambda start: False))
    monkeypatch.setattr(decoding.features, "get_supported_modules", lambda: ["avif"] if reader else [])
    (tmp_path / "photo.jpg").write_bytes(b"\0\0\0\x18ftyp" + brands + bytes(500))
    install = f"its reader is missing): run `.venv/bin/python -m pip install {package}`, replace it or"
    said = "not an image): replace it or delete it" if reader else install
    fails(lambda: open_image(tmp_path / "photo.jpg"), f"photo.jpg cannot be read ({said}")


@pytest.mark.parametrize("width", [10_000, 60_000])
def test_decompression_bomb_is_refused(tmp_path, width):
    header = width.to_bytes(4, "big") + (10_000).to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    fails(lambda: open_image(tmp_path / "bomb.png"), "bomb.png", "pixels")


def test_a_photograph_is_decoded_at_a_fraction_of_its_size_and_smaller_ones_are_not(tmp_path):
    photograph = scene(0).resize((4100, 2 * 2048))
    photograph.save(tmp_path / "large.jpg")
    photograph.resize((2047, 2047)).save(tmp_path / "small.jpg")
    large, small = open_image(tmp_path / "large.jpg"), open_image(tmp_path / "small.jpg")
    assert large.size == (1025, 1024)
    with Image.open(tmp_path / "small.jpg") as whole:
        assert np.array_equal(np.asarray(small), np.asarray(whole))
    difference = np.asarray(large, float) - np.asarray(small.resize(large.size), float)
    assert np.abs(difference).mean() < 2
