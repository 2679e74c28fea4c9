"""The synthetic sample: its animals, its backgrounds, its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.data import dataset
from retrieval.data.dataset import category_of, describe, find_images, prepare
from retrieval.data.duplicates import duplicate_pairs
from retrieval.data.inspection import inspect
from retrieval.data.sample import drawing
from retrieval.data.sample.animals import ANIMALS
from retrieval.data.sample.backgrounds import HOMES, SCENES
from retrieval.data.sample.shapes import ellipse, limb, stroke
from retrieval.errors import RetrievalError

IMAGES = 5


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "sample"
    drawing.generate(root, images_per_category=IMAGES)
    return root


def content(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.rglob("*.jpg")}


def test_twenty_categories_of_photograph_sized_jpegs(root):
    files = find_images(root)
    assert [files.count(f"{name}/{name}-0001.jpg") for name in ANIMALS] == [1] * 20
    assert len(files) == 20 * IMAGES
    for file in files[::7]:
        with Image.open(root / file) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (256, 256))


def test_same_seed_same_bytes_whatever_the_number(root, tmp_path):
    drawing.generate(tmp_path / "again", images_per_category=2)
    kept, whole = content(tmp_path / "again"), content(root)
    # The last image of a category may be a copy; the others only depend on seed and number.
    assert len(kept) == 40 and all(kept[f"{name}-0001.jpg"] == whole[f"{name}-0001.jpg"] for name in ANIMALS)
    drawing.generate(tmp_path / "other", seed=1, images_per_category=2)
    assert not set(content(tmp_path / "other").values()) & set(kept.values())


def test_its_duplicates_are_those_it_promises(root):
    pairs = duplicate_pairs(inspect(root, find_images(root)))
    assert pairs["kind"].value_counts().to_dict() == {"exact": 3, "near": 5, "conflicting": 3}
    found = [
        (tuple(sorted(map(category_of, pair))), kind == "exact")
        for pair, kind in zip(pairs[["file", "other_file"]].to_numpy(), pairs["kind"], strict=True)
        if kind != "conflicting"
    ]
    promised = [(tuple(sorted((source, copy))), how == "exact") for source, copy, how in drawing.COPIES]
    assert sorted(found) == sorted(promised)


def test_one_label_in_a_hundred_is_wrong(root):
    for label, shown in drawing.WRONG_LABELS.items():
        assert shown != label
        rng = np.random.default_rng([0, list(ANIMALS).index(label), 3])
        with Image.open(root / label / f"{label}-0003.jpg") as image:
            difference = np.asarray(image).astype(float) - np.asarray(drawing.photograph(shown, rng))
        assert np.abs(difference).mean() < 8
    assert 0.005 < len(drawing.WRONG_LABELS) / (20 * 30) < 0.02


def test_it_is_recognised_wherever_it_lies(root, tmp_path):
    inspection = inspect(root, find_images(root))
    source = describe(root, inspection.digests)
    assert source.is_sample and source.name == "synthetic sample" and not source.comparable
    (root / drawing.MARKER).rename(tmp_path / "marker")
    assert not describe(root, inspection.digests).is_sample
    (tmp_path / "marker").rename(root / drawing.MARKER)


def test_it_is_drawn_on_first_use_and_only_in_its_place(tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(dataset, "PROJECT", tmp_path)
    monkeypatch.setattr(drawing, "generate", drawn.append)
    prepare(tmp_path / "elsewhere")
    assert not drawn and not capsys.readouterr().out
    place = tmp_path / "data" / "sample"
    prepare(place)
    line = capsys.readouterr().out
    assert drawn == [place] and line.count("\n") == 1
    assert all(word in line for word in ("synthetic sample", "make data", "make DATA="))
    place.mkdir(parents=True)
    prepare(place)
    assert drawn == [place]


def test_an_interrupted_drawing_leaves_nothing_to_mistake_for_the_sample(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    flat = Image.new("RGB", (drawing.SIZE, drawing.SIZE))
    monkeypatch.setattr(drawing, "photograph", lambda category, rng: flat)
    with monkeypatch.context() as patched:
        patched.setattr(drawing, "_duplicate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            drawing.generate(tmp_path / "sample", images_per_category=2)
    assert not (tmp_path / "sample").exists()
    drawing.generate(tmp_path / "sample", images_per_category=2)
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RetrievalError, match=r"file/sample could not be drawn \(Not a directory\)"):
        drawing.generate(tmp_path / "file" / "sample", images_per_category=2)


@pytest.mark.parametrize("category", ANIMALS)
def test_animals_fill_their_square_and_differ(category):
    animals = [ANIMALS[category](np.random.default_rng(seed)) for seed in range(20)]
    for animal in animals:
        points = np.concatenate([outline for outline, _ in animal])
        assert np.abs(points).max() < 1.15
        assert np.ptp(points, axis=0).min() > 0.4
        assert all(0 <= channel <= 255 for _, colour in animal for channel in colour)
    assert (
        len({tuple(np.concatenate([outline.ravel() for outline, _ in animal])) for animal in animals}) == 20
    )


def test_every_category_has_a_scene_of_its_own():
    assert set(HOMES) == set(ANIMALS) and set(HOMES.values()) <= set(SCENES)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scenes_fill_the_image_and_differ(scene):
    one, other = (np.asarray(scene(np.random.default_rng(seed), 128)) for seed in range(2))
    assert one.shape == other.shape == (128, 128, 3) and one.dtype == np.uint8
    assert one.std() > 5 and np.abs(one.astype(int) - other).mean() > 2


def test_outlines():
    circle = ellipse(1.0, 2.0, 3.0, 3.0, turn=0.7)
    assert np.allclose(np.hypot(*(circle - (1, 2)).T), 3)
    assert np.allclose(np.ptp(ellipse(0, 0, 2, 1, np.pi / 2), axis=0), (2, 4))
    line = stroke(np.linspace(0, 1, 5), np.zeros(5), 0.5)
    assert np.allclose(np.ptp(line, axis=0), (1, 0.5))
    bent = limb((0, 0), (1, 1), (2, 0), 0.4, 0.1)
    assert np.allclose(bent[[0, -1]].mean(axis=0), (0, 0)) and np.allclose(bent[[9, 10]].mean(axis=0), (2, 0))
    assert np.allclose(np.linalg.norm(bent[[0, 9]] - bent[[-1, 10]], axis=1), (0.4, 0.1))
