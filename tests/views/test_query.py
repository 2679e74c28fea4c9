"""Queries by any picture, and what `make query` says of the nearest image."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from retrieval.artifacts.store import Store, open_store
from retrieval.commands.query import main
from retrieval.data.parts import PARTS
from retrieval.data.splitting import index_maps
from retrieval.encoders import conversion, siamese
from retrieval.errors import RetrievalError, shown
from retrieval.features import extraction, normalising
from retrieval.search import open_set
from retrieval.settings import PROJECT, read_settings
from retrieval.views import query

SIZES = [24, 32]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, and what notebooks would have written of them with a small untrained encoder."""
    folder = tmp_path_factory.mktemp("project")
    tiny.draw(folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        store = opened(folder, patch)
    files = sorted(path.relative_to(folder / "photos").as_posix() for path in folder.rglob("*.png"))
    parts = np.array(PARTS)[np.minimum(np.arange(len(files)) % 5, 2)]
    for name, content in index_maps(files, parts, np.arange(len(files))).items():
        store.save(name, content)
    store.save("mobilenetv2.tflite", conversion.convert(siamese.siamese_cnn(seed=0)))
    store.save("siamese_cnn.tflite", conversion.convert(siamese.siamese_cnn(seed=1)))
    describe = {
        "mobilenetv2": extraction.to_features(store.load("mobilenetv2.tflite")),
        "siamese_cnn": extraction.to_embedding(store.load("siamese_cnn.tflite"), sizes=SIZES),
    }
    for name, function in describe.items():
        for part in PARTS:
            rows = np.stack([function(folder / "photos" / file) for file in store.files(part)])
            needs = [f"{name}.tflite", f"{part}_index_file.json"]
            store.save(f"{name}_{part}.npy", rows, needs=needs, settings={"sizes": SIZES})
        store.save(f"{name}_open_set.npy", calibration(store, name), needs=[f"{name}_val.npy"])
    return folder


def calibration(store: Store, features: str) -> np.ndarray:
    """Distances of the validation images to their nearest train image at unit length, `[n_val, 1]`."""
    gallery, queries = (normalising.l2_normalise(store.features(features, part)) for part in ("train", "val"))
    distances = np.linalg.norm(queries[:, np.newaxis] - gallery, axis=2).min(axis=1, keepdims=True)
    return np.sort(distances, axis=0).astype(np.float32)


def opened(folder: Path, patch: pytest.MonkeyPatch) -> Store:
    patch.setenv("DATA", str(folder / "photos"))
    patch.setenv("ARTIFACTS", str(folder / "artifacts"))
    patch.delenv("WEIGHTS", raising=False)
    return open_store(read_settings())


@pytest.fixture
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    return opened(folder, monkeypatch)


@pytest.fixture
def photos(folder: Path) -> Path:
    return folder / "photos"


def command(folder: Path, **settings: str) -> subprocess.CompletedProcess:
    environment = os.environ | tiny.environment(folder) | {"WEIGHTS": ""} | settings
    return subprocess.run(
        [sys.executable, "-m", "retrieval.commands.query"], env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("name", ["mobilenetv2", "siamese_cnn"])
def test_an_indexed_image_gets_the_row_it_has(store: Store, photos: Path, name: str) -> None:
    row = query.encoder(store, name)(photos / store.files("test")[0])
    np.testing.assert_array_equal(row, store.features(name, "test")[0])


@pytest.mark.parametrize("name", ["mobilenetv2", "siamese_cnn"])
@pytest.mark.parametrize("parts", [PARTS, ("train",)])
def test_the_nearest_are_those_at_unit_length(
    store: Store, photos: Path, name: str, parts: tuple[str, ...]
) -> None:
    answer = query.find(store, photos / store.files("test")[3], k=7, features=name, parts=parts)
    rows = normalising.l2_normalise(np.concatenate([store.features(name, part) for part in parts]))
    distances = np.linalg.norm(rows - normalising.l2_normalise(store.features(name, "test")[[3]]), axis=1)
    order = np.argsort(distances, kind="stable")[:7]
    assert answer.files == [[file for part in parts for file in store.files(part)][row] for row in order]
    np.testing.assert_allclose(answer.distances, distances[order], atol=1e-6)
    if parts == PARTS:
        assert answer.files[0] == store.files("test")[3] and answer.distances[0] < 1e-6


def test_the_gallery_has_nothing_similar_to_a_picture_from_elsewhere(
    store: Store, photos: Path, tmp_path: Path
) -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "checks.png")
    answer = query.find(store, tmp_path / "checks.png", features="siamese_cnn")
    assert answer.distances[0] > answer.limit == open_set.limit(store.load("siamese_cnn_open_set.npy"))
    numbers = f"(distance {answer.distances[0]:.3f}, limit {answer.limit:.3f}; features: siamese_cnn)."
    assert str(answer).splitlines()[-1] == f"The gallery has nothing similar {numbers}"
    near = replace(answer, distances=np.full(10, answer.limit))
    assert "The gallery has similar images (distance " in str(near)
    known = query.find(store, photos / store.files("val")[0], features="siamese_cnn")
    assert "This picture is in the gallery, or a copy of it is (features: siamese_cnn)." in str(known)


def test_the_default_is_the_best_that_is_there(
    store: Store, photos: Path, folder: Path, tmp_path: Path, monkeypatch
) -> None:
    image = photos / store.files("test")[0]
    assert query.find(store, image).features == "mobilenetv2"
    shutil.copytree(folder / "artifacts", tmp_path / "artifacts")
    (tmp_path / "artifacts" / "mobilenetv2_open_set.npy").unlink()
    monkeypatch.setenv("ARTIFACTS", str(tmp_path / "artifacts"))
    assert query.find(open_store(read_settings()), image).features == "siamese_cnn"


def test_one_call_prints_and_draws(store: Store, photos: Path, capsys: pytest.CaptureFixture) -> None:
    figure = query.show(photos / store.files("val")[0], k=7)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rank", "distance", "file"] and len(lines) == 9
    assert lines[1].split() == ["1", "0.000", shown(store.files("val")[0])]
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert len(titles) == 8 and not any(mark in title for title in titles for mark in "✓✗")


def test_the_command_prints_a_table_and_writes_a_picture(folder: Path, tmp_path: Path) -> None:
    image = tmp_path / "Ferien 2019 狐.v2.png"
    shutil.copy(next((folder / "photos").rglob("*.png")), image)
    done = command(folder, IMAGE=str(image), K="200", DISPLAY=":0")
    assert (done.returncode, done.stderr) == (0, "")
    images = tiny.IMAGES * len(tiny.COLOURS)
    assert len(done.stdout.splitlines()) == images + 5
    assert done.stdout.startswith(
        f"settings that hold until others are given: DATA={folder / 'photos'} EPOCHS=1\n"
    )
    assert "This picture is in the gallery, or a copy of it is (features: mobilenetv2)." in done.stdout
    assert f"There are only {images} images, not 200." in done.stdout
    with Image.open(folder / "artifacts" / "figures" / "query.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"IMAGE": "/nowhere.jpg"}, "/nowhere.jpg is no file: name a picture"),
        ({"IMAGE": "/"}, "/ is no file: name a picture"),
        ({"IMAGE": "/" + 300 * "x"}, "x is no file: name a picture"),
        ({"IMAGE": __file__}, "test_query.py cannot be read (not an image)"),
        ({"IMAGE": __file__, "K": "none"}, "K=none is not a whole number from 1"),
        ({"IMAGE": __file__, "ARTIFACTS": "/nowhere"}, "is missing: run notebook 02_mobilenetv2_features"),
        (
            {"IMAGE": str(PROJECT / "docs/query_grid.png"), "DATA": "/nowhere"},
            "/nowhere is not a folder: say where it is now",
        ),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], message: str
) -> None:
    for name, value in (tiny.environment(folder) | {"WEIGHTS": "", "IMAGE": "", "K": ""} | settings).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RetrievalError) as error:
        main()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_command_fails_with_one_line(folder: Path) -> None:
    done = command(folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "no IMAGE is named: make query IMAGE=photo.jpg\n"


def test_features_that_cannot_be_used_are_an_error(store: Store, photos: Path) -> None:
    image = photos / store.files("val")[0]
    with pytest.raises(RetrievalError, match="the features colour are unknown: use one of proxy"):
        query.find(store, image, features="colour")
    with pytest.raises(RetrievalError, match=r"proxy_mobilenetv2_train.npy is missing: run"):
        query.find(store, image, features="proxy_mobilenetv2")
    store.save("colour_train.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(RetrievalError, match="the features colour cannot be computed for a single image"):
        query.find(store, image, features="colour")
