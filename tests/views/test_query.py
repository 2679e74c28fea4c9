"""Queries by any picture, and what `make query` says of the nearest image."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from PIL import Image

from retrieval.artifacts.store import Store, open_store
from retrieval.commands import gallery
from retrieval.commands.query import main
from retrieval.data.parts import PARTS
from retrieval.data.splitting import index_maps
from retrieval.encoders import conversion, embeddings, siamese
from retrieval.errors import RetrievalError, shown
from retrieval.features import extraction
from retrieval.search import keeping, open_set
from retrieval.settings import PROJECT, read_settings
from retrieval.views import judging, query, query_by_example

SIZES = [24, 32]
BEST = "siamese_mobilenetv2"
RESAMPLE = {"mobilenetv2": Image.Resampling.NEAREST, "siamese_mobilenetv2": Image.Resampling.BILINEAR}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, and what notebooks would have written of them with two small untrained encoders."""
    folder = tmp_path_factory.mktemp("project")
    tiny.draw(folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        store = opened(folder, patch)
    files = sorted(path.relative_to(folder / "photos").as_posix() for path in folder.rglob("*.png"))
    parts = np.array(PARTS)[np.minimum(np.arange(len(files)) % 5, 2)]
    for name, content in index_maps(files, parts, np.arange(len(files))).items():
        store.save(name, content)
    store.save("dataset.json", {"sha256": "photos"})
    for seed, (name, resample) in enumerate(RESAMPLE.items()):
        store.save(f"{name}.tflite", conversion.convert(siamese.siamese_cnn(seed=seed)))
        options = {"sizes": SIZES, "resample": resample}
        describe = extraction.to_embedding(store.load(f"{name}.tflite"), **options)
        for part in PARTS:
            rows = np.stack([describe(folder / "photos" / file) for file in store.files(part)])
            store.save(f"{name}_{part}.npy", rows, needs=[f"{part}_index_file.json"])
        embeddings.keep_open_set(store, name)
        keeping.keep(store, folder / "photos", name, encoder=f"{name}.tflite", **options)
    return folder


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


@pytest.mark.parametrize("name", RESAMPLE)
def test_an_indexed_image_gets_the_row_it_has(store: Store, photos: Path, name: str) -> None:
    row = query.open_retriever(store, photos, name).model.encode(photos / store.files("test")[0])
    np.testing.assert_array_equal(row, store.features(name, "test")[0])


@pytest.mark.parametrize("name", RESAMPLE)
def test_the_nearest_of_all_parts_are_found(store: Store, photos: Path, name: str) -> None:
    answer = query.open_retriever(store, photos, name).search(photos / store.files("test")[3], 7)
    rows = np.concatenate([store.features(name, part) for part in PARTS])
    distances = np.linalg.norm(rows - store.features(name, "test")[[3]], axis=1)
    order = np.argsort(distances, kind="stable")[:7]
    assert answer.files == [[file for part in PARTS for file in store.files(part)][row] for row in order]
    np.testing.assert_allclose(answer.distances, distances[order], atol=1e-6)
    assert answer.files[0] == store.files("test")[3] and answer.distances[0] < 1e-6


def test_the_gallery_has_nothing_similar_to_a_picture_from_elsewhere(
    store: Store, photos: Path, tmp_path: Path
) -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "checks.png")
    retriever = query.open_retriever(store, photos)
    answer = retriever.search(tmp_path / "checks.png")
    assert answer.distances[0] > answer.limit == open_set.limit(store.load(f"{BEST}_open_set.npy"))
    numbers = f"(distance {answer.distances[0]:.3f}, limit {answer.limit:.3f}; features: {BEST})."
    assert str(answer).splitlines()[-1] == f"The gallery has nothing similar {numbers}"
    near = replace(answer, distances=np.full(10, answer.limit))
    assert "The gallery has similar images (distance " in str(near)
    known = retriever.search(photos / store.files("val")[0])
    assert f"This picture is in the gallery, or a copy of it is (features: {BEST})." in str(known)


def test_the_default_is_the_best_that_is_there(
    store: Store, photos: Path, folder: Path, tmp_path: Path, monkeypatch
) -> None:
    assert query.open_retriever(store, photos).model.about["name"] == BEST
    shutil.copytree(folder / "artifacts", tmp_path / "artifacts")
    (tmp_path / "artifacts" / "models" / BEST / "model.npz").write_bytes(b"damaged")
    monkeypatch.setenv("ARTIFACTS", str(tmp_path / "artifacts"))
    opened = query.open_retriever(open_store(read_settings()), photos)
    assert opened.model.about["name"] == "mobilenetv2"


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
    assert (
        "This picture is in the gallery, or a copy of it is (features: siamese_mobilenetv2)." in done.stdout
    )
    assert f"There are only {images} images, not 200." in done.stdout
    with Image.open(folder / "artifacts" / "figures" / "query.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"IMAGE": "/nowhere.jpg"}, "/nowhere.jpg is no file: name a picture"),
        ({"IMAGE": "/"}, "/ is no file: name a picture"),
        ({"IMAGE": "~no-such-user/a.jpg"}, "~no-such-user/a.jpg is no file: name a picture"),
        ({"IMAGE": "/" + 300 * "x"}, "x is no file: name a picture"),
        ({"IMAGE": __file__}, "test_query.py cannot be read (not an image)"),
        ({"IMAGE": __file__, "LDA": "yes"}, "LDA=yes is unknown: use on or off"),
        (
            {"IMAGE": str(PROJECT / "docs/query_grid.png"), "LDA": "on"},
            "siamese_mobilenetv2 has no LDA: leave LDA out",
        ),
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


@pytest.mark.parametrize("clickable", [False, True])
def test_a_notebook_asks_for_a_picture_if_somebody_can_click(
    store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch, clickable: bool
) -> None:
    displayed = []
    kernel = SimpleNamespace(get_parent=lambda: {"content": {"allow_stdin": clickable}})
    monkeypatch.setattr(judging, "get_ipython", lambda: kernel)
    monkeypatch.setattr(judging, "display", lambda data, raw: displayed.append(data))
    query_by_example.show(store, photos)
    (data,) = displayed
    assert "open this notebook in Jupyter" in data["text/markdown"]
    assert ("application/vnd.jupyter.widget-view+json" in data) == clickable


def test_a_model_that_cannot_be_used_is_an_error(store: Store, photos: Path) -> None:
    with pytest.raises(RetrievalError, match="MODEL=colour is unknown: use one of "):
        query.open_retriever(store, photos, "colour")
    path = store.folder / "models" / BEST / "model.npz"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(RetrievalError, match=r"model.npz is damaged or was changed by hand: run"):
        query.open_retriever(store, photos, BEST)
    path.write_bytes(content)


def test_the_commands_grow_and_shrink_the_gallery(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    rng, images = np.random.default_rng(0), tiny.IMAGES * len(tiny.COLOURS)
    (tmp_path / "more").mkdir()
    for name in "ab":
        Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8)).save(tmp_path / "more" / f"{name}.png")
    for name, value in (tiny.environment(folder) | {"WEIGHTS": "", "IMAGES": str(tmp_path / "more")}).items():
        monkeypatch.setenv(name, value)

    def run(command: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["gallery", command])
        gallery.main()
        return capsys.readouterr().out.splitlines()[1:]

    assert run("add") == ["added: 2 images", f"the gallery of {BEST} now has {images + 2} images"]
    assert run("add")[:2] == ["added: 0 images", "already there: 2 images"]
    assert query.show(tmp_path / "more" / "a.png", k=1)
    assert str(tmp_path / "more" / "a.png") in capsys.readouterr().out
    assert run("remove") == ["removed: 2 images", f"the gallery of {BEST} now has {images} images"]
    with pytest.raises(RetrievalError, match=r"the gallery has no image in .*more"):
        run("remove")
    monkeypatch.delenv("IMAGES")
    with pytest.raises(RetrievalError, match="no IMAGES are named: make add IMAGES=folder"):
        run("add")
