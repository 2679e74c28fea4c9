"""Duplicates: the same photograph twice, and under two labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from retrieval.data.dataset import category_of, find_images
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
from retrieval.data.inspection import Inspection, inspect


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
