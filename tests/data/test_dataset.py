"""Finding, opening, auditing and splitting images: dataset.py, audit.py, splitting.py, download.py."""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
import time
import zlib
from io import BytesIO
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from retrieval.data import download
from retrieval.data.dataset import (
    REAL_CATEGORIES,
    REAL_IMAGES,
    REAL_SHA256,
    Source,
    category_of,
    describe,
    find_images,
    fingerprint,
    left_out,
    need_categories,
)
from retrieval.data.decoding import open_image
from retrieval.data.duplicates import (
    NEAR_DISTANCE,
    _near_pairs,
    audit,
    duplicate_groups,
    duplicate_pairs,
    leaks,
    mirrored_hash,
    near_misses,
)
from retrieval.data.inspection import Inspection, from_json, inspect, to_json
from retrieval.data.parts import PARTS
from retrieval.data.splitting import index_maps, split
from retrieval.errors import RetrievalError
from retrieval.files import sha256
from retrieval.settings import PROJECT

REAL = PROJECT.parent / "shared" / "mammals"


def scene(seed: int, size: int = 64) -> Image.Image:
    """A picture unlike that of any other seed, smooth enough to survive compression."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two categories of six different images."""
    for category in range(2):
        folder = tmp_path / "set" / ("fox", "owl")[category]
        folder.mkdir(parents=True)
        for number in range(6):
            scene(10 * category + number).save(folder / f"{number}.jpg", quality=95)
    return tmp_path / "set"


def fails(call, *names: str) -> None:
    """Checks that a call raises one line with all of `names` in it."""
    with pytest.raises(RetrievalError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for name in names:
        assert name in str(caught.value)


# Opening


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


@pytest.mark.parametrize("width", [10_000, 60_000])
def test_decompression_bomb_is_refused(tmp_path, width):
    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

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


# Finding


def test_finds_images_of_any_suffix_depth_and_alphabet(root):
    for name in ("Füchsin.JPEG", "狐.png", "deep/er/3.WebP", "a b.tiff"):
        (root / "fox" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "fox" / name).touch()
    for name in ("fox/.hidden.jpg", ".cache/x.jpg", "fox/.thumbs/x.jpg", "fox/notes.txt", "stray.jpg"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    (root / "empty").mkdir()
    plain = [f"{category}/{number}.jpg" for category in ("fox", "owl") for number in range(6)]
    extra = [f"fox/{name}" for name in ("Füchsin.JPEG", "狐.png", "deep/er/3.WebP", "a b.tiff")]
    assert find_images(root) == sorted(plain + extra)


def test_links_that_loop_are_harmless(root):
    before = find_images(root)
    (root / "again").symlink_to(root)
    (root / "up").symlink_to(root.parent)
    (root / "self").symlink_to(root / "self")
    (root / "fox" / "loop").symlink_to(root / "fox")
    assert find_images(root) == before
    (root / "linked").symlink_to(root / "owl")
    assert len(find_images(root)) == len(before) + 6


def test_folders_that_cannot_be_used(root, tmp_path):
    fails(lambda: find_images(tmp_path / "absent"), "absent", "make data", "make DATA=")
    (tmp_path / "void").mkdir()
    fails(lambda: find_images(tmp_path / "void"), "void", "no images")
    (root / "owl" / "0.jpg").unlink()
    assert len(find_images(root)) == 11
    (root / "owl" / "1.jpg").unlink()
    fails(lambda: find_images(root), "owl", "4 images")


def test_without_category_folders_the_images_of_the_folder_are_taken(root, tmp_path):
    flat = root / "fox"
    (flat / "empty").mkdir()
    (flat / "folder.jpg").mkdir()
    (flat / ".hidden.jpg").touch()
    files = find_images(flat)
    assert files == [f"{number}.jpg" for number in range(6)]
    assert {category_of(file) for file in files} == {category_of(str(flat / files[0]))} == {""}
    source = describe(flat, inspect(flat, files).digests)
    assert (source.images, source.categories) == (6, 0)
    (flat / "0.jpg").unlink()
    (flat / "1.jpg").unlink()
    fails(lambda: find_images(flat), "fox has 4 images")


@pytest.mark.parametrize("categories", [0, 1, 2])
def test_what_compares_categories_needs_two(categories):
    data = {"name": "holidays", "categories": categories}
    if categories < 2:
        fails(lambda: need_categories(data), "holidays", "two category folders")
    else:
        need_categories(data)


def test_what_is_left_out_is_counted_by_kind(root, monkeypatch):
    monkeypatch.setattr("retrieval.data.dataset.SUFFIXES", (".jpg", ".png"))
    assert left_out(root, find_images(root)) == []
    for name in ("a.mov", "fox/b.MOV", "c.heic", "fox/d.jpg", "e.png", ".f.mov", ".cache/g.mov", "README"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    assert left_out(root, find_images(root)) == [
        "1 x no suffix, not read",
        "1 x .heic, to be read once you run `.venv/bin/python -m pip install pillow-heif`",
        "2 x .mov, not read",
        "1 x .png, in no category folder",
    ]
    (root / "new").mkdir()
    (root / "new" / "x.mov").touch()
    fails(lambda: find_images(root / "new"), "no images (1 x .mov, not read)")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_unicode_are_refused(root):
    Path(os.fsdecode(os.fsencode(root / "fox") + b"/f\xfc.jpg")).touch()
    fails(lambda: find_images(root), "UTF-8", "rename")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such files")
def test_what_is_no_file_is_found_and_reported_by_name(root):
    before = find_images(root)
    (root / "fox" / "folder.jpg").mkdir()
    (root / "fox" / "linked folder.jpg").symlink_to(root / "owl")
    os.mkfifo(root / "fox" / "pipe.jpg")
    (root / "fox" / "nowhere.jpg").symlink_to("nowhere")
    (root / "fox" / "zeros\n.jpg").symlink_to("/dev/zero")
    files = find_images(root)
    (root / "fox" / "0.jpg").unlink()
    assert sorted(set(files) - set(before)) == ["fox/nowhere.jpg", "fox/pipe.jpg", "fox/zeros\n.jpg"]
    assert fingerprint(root, files) != fingerprint(root, before)
    reasons = inspect(root, files).unreadable
    assert "No such file" in reasons["fox/0.jpg"] and "No such file" in reasons["fox/nowhere.jpg"]
    assert "not a regular file" in reasons["fox/pipe.jpg"]
    assert "fox/zeros\\n.jpg" in reasons["fox/zeros\n.jpg"] and "\n" not in reasons["fox/zeros\n.jpg"]


def test_a_folder_that_cannot_be_listed_is_named(root, monkeypatch):
    def refuse(folder):
        if "owl" in str(folder):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", refuse)
    fails(lambda: find_images(root), "owl cannot be listed (Permission denied)", "move it away")


# Inspecting


def test_inspection_describes_every_file_and_lists_the_unreadable(root):
    Image.new("L", (30, 20), 99).save(root / "owl" / "0.jpg")
    (root / "fox" / "0.jpg").write_text("nonsense")
    files = find_images(root)
    inspection = inspect(root, files)
    assert inspection.files == [file for file in files if file != "fox/0.jpg"]
    row = inspection.files.index("owl/0.jpg")
    assert (inspection.width[row], inspection.height[row], inspection.mode[row]) == (30, 20, "L")
    assert inspection.dhash.shape == (11, 256) and inspection.dhash.dtype == bool
    assert "fox/0.jpg" in inspection.unreadable["fox/0.jpg"]
    (root / "fox" / "1.jpg").write_text("nonsense")
    fails(lambda: inspect(root, files), "fox has 4 readable", "fox/0.jpg")


@pytest.fixture
def flawed(root: Path) -> Path:
    """An exact copy, one under another label, a recompressed one, and an unreadable file."""
    shutil.copy(root / "fox/1.jpg", root / "fox/copy.jpg")
    shutil.copy(root / "fox/2.jpg", root / "owl/liar.jpg")
    with Image.open(root / "owl/3.jpg") as image:
        image.resize((100, 100)).save(root / "owl/small.png")
    (root / "owl/broken.gif").write_bytes(b"GIF89a")
    return root


def test_duplicates_of_every_kind_are_found(flawed):
    inspection = inspect(flawed, find_images(flawed))
    pairs = duplicate_pairs(inspection)
    assert list(pairs.columns) == ["kind", "file", "other_file", "distance"]
    assert [tuple(row) for row in pairs.values[:, :3]] == [
        ("exact", "fox/1.jpg", "fox/copy.jpg"),
        ("exact", "fox/2.jpg", "owl/liar.jpg"),
        ("near", "owl/3.jpg", "owl/small.png"),
        ("conflicting", "fox/2.jpg", "owl/liar.jpg"),
        ("unreadable", "owl/broken.gif", ""),
    ]
    assert pairs["distance"].isna().tolist() == [False] * 4 + [True]
    groups = duplicate_groups(inspection.files, pairs)
    assert len(set(groups)) == len(groups) - 3
    parts = np.where(np.array([category_of(file) for file in inspection.files]) == "fox", "train", "test")
    assert leaks(pairs, inspection.files, parts) == 1
    table = audit(pairs, inspection.files, parts)
    assert list(table.columns) == ["kind", "file", "other_file", "distance", "part", "other_part"]
    assert table[["part", "other_part"]].values.tolist() == [
        ["train", "train"],
        ["train", "test"],
        ["test", "test"],
        ["train", "test"],
        ["", ""],
    ]


def test_chains_of_duplicates_are_one_group(root):
    for name in ("copy.jpg", "other.jpg"):
        shutil.copy(root / "fox/1.jpg", root / "owl" / name)
    inspection = inspect(root, find_images(root))
    pairs = duplicate_pairs(inspection)
    assert (pairs["kind"] == "exact").sum() == 3
    groups = dict(zip(inspection.files, duplicate_groups(inspection.files, pairs), strict=True))
    assert groups["fox/1.jpg"] == groups["owl/copy.jpg"] == groups["owl/other.jpg"] != groups["fox/2.jpg"]


def test_no_flaws_make_an_empty_table(root):
    inspection = inspect(root, find_images(root))
    pairs = duplicate_pairs(inspection)
    assert len(pairs) == 0
    assert len(set(duplicate_groups(inspection.files, pairs))) == 12
    assert leaks(pairs, inspection.files, np.array(["train"] * 12)) == 0


def test_flat_images_are_no_duplicates_of_each_other(root):
    for number, grey in enumerate((0, 90, 200, 255)):
        noise = np.random.default_rng(number).integers(0, 2, (64, 64, 3))
        Image.fromarray((np.minimum(grey, 253) + noise).astype(np.uint8)).save(
            root / f"fox/flat-{number}.png"
        )
        Image.new("RGB", (64, 64), (grey, grey, grey)).save(root / f"owl/flat-{number}.png")
    assert len(duplicate_pairs(inspect(root, find_images(root)))) == 0


def test_near_pairs_equal_a_slow_comparison_at_any_block_size(monkeypatch):
    rng = np.random.default_rng(0)
    hashes = rng.random((40, 256)) < 0.5
    hashes[20:30] = hashes[:10] ^ (rng.random((10, 256)) < NEAR_DISTANCE / 256)
    hashes[30:] = mirrored_hash(hashes[10:20]) ^ (rng.random((10, 256)) < NEAR_DISTANCE / 256)
    slow = {
        (i, j, int(distance))
        for i in range(40)
        for j in range(i + 1, 40)
        if (distance := min((hashes[i] ^ other).sum() for other in (hashes[j], mirrored_hash(hashes)[j])))
        <= NEAR_DISTANCE
    }
    assert 0 < len(slow) < 20
    for block in (1, 300, 2**24):
        monkeypatch.setattr("retrieval.data.duplicates.BLOCK", block)
        assert set(_near_pairs(hashes, NEAR_DISTANCE)) == slow


def test_a_mirrored_copy_is_a_near_duplicate(root):
    with Image.open(root / "owl/3.jpg") as image:
        ImageOps.mirror(image).save(root / "fox/mirrored.jpg", quality=90)
    inspection = inspect(root, find_images(root))
    seen = dict(zip(inspection.files, inspection.dhash, strict=True))
    differing = (mirrored_hash(seen["owl/3.jpg"][None])[0] ^ seen["fox/mirrored.jpg"]).sum()
    pairs = duplicate_pairs(inspection)
    assert pairs.values.tolist() == [
        [kind, "fox/mirrored.jpg", "owl/3.jpg", differing] for kind in ("near", "conflicting")
    ]


def test_near_misses_are_the_pairs_beyond_the_threshold_nearest_first():
    hashes = np.repeat(np.random.default_rng(0).random((1, 256)) < 0.5, 4, axis=0)
    for row, flipped in enumerate((0, 20, 70, 50)):
        hashes[row, :flipped] ^= True
    inspection = Inspection(list("abcd"), list("abcd"), hashes, *[np.zeros(4)] * 3, {})
    assert near_misses(inspection).values.tolist() == [["b", "d", 30.0], ["a", "d", 50.0], ["b", "c", 50.0]]
    pairs = duplicate_pairs(inspection)
    assert pairs[pairs.kind == "near"][["file", "other_file"]].values.tolist() == [["a", "b"], ["c", "d"]]


def test_an_inspection_survives_json(root):
    (root / "fox" / "0.jpg").write_text("nonsense")
    inspection = inspect(root, find_images(root))
    back = from_json(json.loads(json.dumps(to_json(inspection))))
    for name, value in vars(inspection).items():
        np.testing.assert_array_equal(getattr(back, name), value)


# Describing


def test_source_and_fingerprint_follow_the_content(root):
    files = find_images(root)
    source, mark = describe(root, inspect(root, files).digests), fingerprint(root, files)
    assert (source.name, source.images, source.categories, source.is_sample) == ("set", 12, 2, False)
    assert not source.comparable
    assert describe(root, inspect(root, files).digests) == source and fingerprint(root, files) == mark
    scene(99).save(root / "fox/0.jpg", quality=50)
    assert (
        describe(root, inspect(root, files).digests).sha256 != source.sha256
        and fingerprint(root, files) != mark
    )


def test_only_the_whole_real_set_is_comparable():
    whole = {"name": "mammals", "images": REAL_IMAGES, "categories": REAL_CATEGORIES, "is_sample": False}
    assert Source(**whole, sha256=REAL_SHA256).comparable
    assert not Source(**whole, sha256="0" * 64).comparable
    reported = json.loads((PROJECT / "notebooks/retrieval/reported.json").read_text())["dataset"]
    assert (reported["images"], reported["categories"]) == (REAL_IMAGES, REAL_CATEGORIES)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real set is not in {REAL}")
def test_the_real_set_is_found_whole():
    files = find_images(REAL)
    assert (len(files), len(set(map(category_of, files)))) == (REAL_IMAGES, REAL_CATEGORIES)
    assert describe(REAL, {file: sha256(REAL / file) for file in files}).comparable


# Splitting

sizes = st.lists(st.integers(5, 40), min_size=2, max_size=5)


def labels(counts: list[int]) -> np.ndarray:
    return np.repeat([f"category {number}" for number in range(len(counts))], counts)


@given(sizes, st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_plain_split_is_60_20_20_in_every_category(counts, seed):
    categories = labels(counts)
    parts = split(categories, None, seed=seed)
    assert parts.shape == categories.shape and set(parts) == set(PARTS)
    for category, count in zip(np.unique(categories), counts, strict=True):
        own = parts[categories == category].tolist()
        held_out = max(1, round(0.2 * count))
        assert [own.count(part) for part in PARTS] == [count - 2 * held_out, held_out, held_out]
    assert np.array_equal(parts, split(categories, None, seed=seed))


@given(sizes, st.data())
@settings(max_examples=40, deadline=None)
def test_groups_never_straddle_and_cost_little(counts, data):
    categories = labels(counts)
    pairs = data.draw(st.lists(st.tuples(*[st.integers(0, len(categories) - 1)] * 2), max_size=len(counts)))
    groups = np.arange(len(categories))
    for one, other in pairs:
        groups[groups == groups[one]] = groups[other]
    try:
        parts = split(categories, groups, seed=0)
    except RetrievalError as error:
        assert any(f"images of {category} together" in str(error) for category in np.unique(categories))
        return
    assert all(len(set(parts[groups == group])) == 1 for group in groups)
    for category, count in zip(np.unique(categories), counts, strict=True):
        own = parts[categories == category].tolist()
        assert min(own.count(part) for part in PARTS) >= 1
        assert abs(own.count("train") - 0.6 * count) <= 1.4 + np.bincount(groups).max()
    assert np.array_equal(parts, split(categories, groups, seed=0))


@pytest.mark.parametrize("seed", range(12))
def test_grouped_split_is_as_close_as_any_assignment(seed):
    rng = np.random.default_rng(seed)
    categories, groups = labels([5, 7]), rng.integers(0, 7, 12)
    groups = np.unique(groups, return_inverse=True)[1]
    targets = np.array([[3, 1, 1], [5, 1, 1]])
    best = np.inf
    for assignment in product(range(3), repeat=groups.max() + 1):
        dealt = np.array(assignment)[groups]
        counts = np.array(
            [np.bincount(dealt[categories == name], minlength=3) for name in np.unique(categories)]
        )
        if counts.min() > 0:
            best = min(best, np.abs(counts - targets).sum())
    try:
        parts = split(categories, groups, seed=seed)
    except RetrievalError as error:
        assert "category" in str(error) and "SPLIT=plain" in str(error)
    else:
        found = [
            [(parts[categories == name] == part).sum() for part in PARTS] for name in np.unique(categories)
        ]
        assert np.abs(np.array(found) - targets).sum() == best


def test_a_category_tied_into_two_groups_is_named():
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5, 6])
    fails(lambda: split(labels([5, 5]), groups, seed=0), "category 0", "SPLIT=plain")


def test_a_category_of_two_pairs_and_a_single_image_reaches_every_part():
    parts = split(labels([5, 5]), np.array([0, 0, 1, 1, 2, 3, 4, 5, 6, 7]), seed=0)
    assert set(parts[:5]) == {"train", "val", "test"}


def test_seeds_differ_and_duplicates_go_everywhere():
    categories = labels([100, 100])
    groups = np.arange(200) // 2
    parts = split(categories, groups, seed=1)
    assert not np.array_equal(parts, split(categories, groups, seed=2))
    # Pairs, too, are dealt 60/20/20 where single images could make up for any other deal.
    groups = np.where(np.arange(200) % 100 < 40, np.arange(200) // 2, np.arange(200))
    train = np.mean(
        [np.mean(split(categories, groups, seed=seed)[groups < 20] == "train") for seed in range(20)]
    )
    assert 0.45 < train < 0.75


def test_index_maps_keep_the_order_and_reach_every_image():
    files = ["fox/a.jpg", "fox/b.jpg", "owl/c.jpg"]
    maps = index_maps(files, np.array(["test", "train", "test"]), np.array([5, 0, 5]))
    columns = ("category", "file", "group")
    assert set(maps) == {f"{part}_index_{column}.json" for part in PARTS for column in columns}
    assert maps["test_index_group.json"] == {"0": 5, "1": 5}
    assert maps["test_index_file.json"] == {"0": "fox/a.jpg", "1": "owl/c.jpg"}
    assert maps["test_index_category.json"] == {"0": "fox", "1": "owl"}
    assert maps["val_index_file.json"] == {}


# Downloading


def test_download_copies_the_category_folders_and_checks_them(root, tmp_path, monkeypatch):
    def no_network(slug):
        raise ConnectionError("Max retries\nexceeded")

    kagglehub = SimpleNamespace(dataset_download=lambda slug: str(root.parent))
    monkeypatch.setitem(sys.modules, "kagglehub", kagglehub)
    monkeypatch.setattr(download, "REAL_CATEGORIES", 2)
    monkeypatch.setattr(download, "REAL_IMAGES", 12)
    monkeypatch.setattr(
        "retrieval.data.dataset.REAL_SHA256", describe(root, inspect(root, find_images(root)).digests).sha256
    )
    target = tmp_path / "data" / "mammals"
    download.download(target)
    assert find_images(target) == find_images(root) and list(target.parent.iterdir()) == [target]
    kagglehub.dataset_download = no_network
    download.download(target)
    content = (target / "fox/0.jpg").read_bytes()
    (target / "fox/0.jpg").write_bytes(content + b"more")
    fails(lambda: download.download(target), "does not hold the files", "make DATA=")
    (target / "fox/0.jpg").unlink()
    fails(lambda: download.download(target), "11 images of 2 categories")
    fails(lambda: download.download(tmp_path / "new"), "ConnectionError", "network", "make DATA=")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    fails(lambda: download.download(tmp_path / "new"), "pip install kagglehub")
