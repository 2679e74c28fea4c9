"""A saved model answers as brute force does, and its gallery grows and shrinks without a loss."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

import retrieval
from retrieval.artifacts import formats
from retrieval.artifacts.store import Store
from retrieval.commands.verify import verify
from retrieval.data.dataset import category_of, find_images
from retrieval.data.listing import images_in
from retrieval.data.parts import PARTS
from retrieval.data.splitting import index_maps
from retrieval.encoders import conversion, siamese
from retrieval.errors import RetrievalError
from retrieval.features import extraction, lda
from retrieval.search import keeping, open_set, retriever
from retrieval.search.model import Model, from_arrays, text_array, text_of, to_arrays
from retrieval.search.retriever import Retriever

SIZES = [24, 32]
Made = tuple[Path, Path]  # the folder of the model, and that of the data set


@pytest.fixture(scope="module")
def encoder() -> bytes:
    return conversion.convert(siamese.siamese_cnn(seed=0))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, encoder: bytes) -> Path:
    """A data set in `photos`, and in `model` a model with LDA whose gallery it is."""
    folder = tmp_path_factory.mktemp("retriever")
    tiny.draw(folder / "photos")
    files = find_images(folder / "photos")
    about = {"name": "small", "sizes": SIZES, "mirrored": True, "resample": 2, "pixels": "0..255"}
    plain = Model(encoder, np.linspace(0, 1, 21, dtype=np.float32), None, np.empty(0, np.float32), about)
    rows = np.stack([plain.encode(folder / "photos" / file) for file in files])
    fitted = lda.fit(rows, np.array([category_of(file) for file in files]), shrinkage=0.1)
    model = Model(encoder, plain.usual, fitted, plain.usual / 2, about)
    formats.write(folder / "model" / "model.npz", to_arrays(model))
    retriever.write_gallery(folder / "model", folder / "photos", files, rows, [])
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of the model, and other pictures beside it: two new ones, a copy, a text."""
    shutil.copytree(original / "model", tmp_path / "model")
    new = tmp_path / "new"
    new.mkdir()
    rng = np.random.default_rng(1)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8)).save(new / f"{name}.png")
    shutil.copy(original / "photos" / find_images(original / "photos")[7], new / "copy.png")
    (new / "text.png").write_text("no image")
    return tmp_path


def gallery(folder: Path) -> bytes:
    return (folder / "model" / "gallery.npz").read_bytes()


@pytest.mark.parametrize("after_lda", [True, False])
def test_the_nearest_are_those_of_brute_force(original: Path, after_lda: bool) -> None:
    loaded = retrieval.Retriever.load(original / "model")
    picture = original / "photos" / loaded.files[3]
    answer = loaded.search(str(picture), 7, after_lda=after_lda)
    rows = lda.transform(loaded.features, loaded.model.lda) if after_lda else loaded.features
    distances = np.linalg.norm(rows - rows[3], axis=1)
    order = np.argsort(distances, kind="stable")[:7]
    np.testing.assert_allclose(answer.distances, distances[order], atol=1e-5)
    assert answer.files[0] == loaded.files[3] and set(answer.files) == {loaded.files[row] for row in order}
    calibration = loaded.model.usual_lda if after_lda else loaded.model.usual
    assert answer.limit == open_set.limit(calibration) and answer.similar
    assert (answer.model, answer.after_lda) == ("small", after_lda)
    for same in (picture.read_bytes(), loaded.model.encode(picture)):
        assert loaded.search(same, 7, after_lda=after_lda).files == answer.files


def test_only_new_images_are_encoded_and_everything_is_accounted_for(
    original: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = Retriever.load(folder / "model")
    before, features = list(grown.files), grown.features.copy()
    asked = [original / "photos" / before[0], *images_in(folder / "new")]
    encoded = []
    monkeypatch.setattr(grown, "_row", lambda path, row=grown._row: encoded.append(path.name) or row(path))
    addition = grown.add(asked)
    assert sorted(encoded) == ["a.png", "b.png", "copy.png", "text.png"]
    added = [str(folder / "new" / name) for name in ("a.png", "b.png")]
    assert (addition.added, addition.known) == (added, [before[0]])
    assert addition.copies == {str(folder / "new" / "copy.png"): before[7]}
    text = str(folder / "new" / "text.png")
    assert addition.unreadable == {text: f"{text} cannot be read (not an image): replace it or delete it"}
    assert str(addition).splitlines()[:2] == ["added: 2 images", "already there: 1 images"]
    for now in (grown, Retriever.load(folder / "model")):
        assert now.files == [*before, *added] and now.added == added
        np.testing.assert_array_equal(now.features[: len(before)], features)
        np.testing.assert_array_equal(now.features[-1], now.model.encode(Path(added[1])))
        assert now.search(added[1], 1).files == [added[1]]
    assert not (folder / "model" / "unfinished").exists()


def test_distances_are_after_lda_while_the_gallery_has_only_what_it_was_fitted_to(folder: Path) -> None:
    grown = Retriever.load(folder / "model")
    assert grown.search(folder / "new" / "a.png").after_lda
    grown.add([folder / "new" / "a.png"])
    assert not grown.search(folder / "new" / "a.png").after_lda
    assert grown.search(folder / "new" / "a.png", after_lda=True).after_lda


def test_adding_removing_and_adding_again_gives_the_same_file(folder: Path) -> None:
    grown, start = Retriever.load(folder / "model"), gallery(folder)
    grown.add(str(folder / "new"))
    once = gallery(folder)
    assert grown.remove(grown.inside(folder / "new")) == [str(folder / "new" / n) for n in ("a.png", "b.png")]
    assert gallery(folder) == start
    grown.add(images_in(folder / "new"))
    assert gallery(folder) == once != start


def test_an_addition_that_is_interrupted_loses_nothing_and_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "CHUNK", 2)
    start, encoded = gallery(folder), []

    def row(self: Retriever, path: Path) -> np.ndarray:
        if path.name == "copy.png" and len(encoded) < 3:
            raise KeyboardInterrupt
        encoded.append(path.name)
        return self.model.encode(path)

    images = [folder / "new" / name for name in ("a.png", "b.png", "copy.png")]
    with monkeypatch.context() as patch:
        patch.setattr(Retriever, "_row", row)
        with pytest.raises(KeyboardInterrupt):
            Retriever.load(folder / "model").add(images)
        assert gallery(folder) == start and encoded == ["a.png", "b.png"]
        encoded += ["the second time"]
        Retriever.load(folder / "model").add(images)
        assert encoded[2:] == ["the second time", "copy.png"]
    interrupted = gallery(folder)
    (folder / "model" / "gallery.npz").write_bytes(start)
    Retriever.load(folder / "model").add(images)
    assert gallery(folder) == interrupted


def test_what_another_process_has_added_stays(folder: Path) -> None:
    first, second = (Retriever.load(folder / "model") for _ in range(2))
    first.add([folder / "new" / "a.png"])
    second.add([folder / "new" / "b.png"])
    assert second.added == [str(folder / "new" / "a.png"), str(folder / "new" / "b.png")]


def test_a_gallery_keeps_one_image(folder: Path, original: Path) -> None:
    shrunk = Retriever.load(folder / "model")
    gone = shrunk.remove([original / "photos" / file for file in shrunk.files[1:]])
    assert len(gone) == len(shrunk.removed) == tiny.IMAGES * len(tiny.COLOURS) - 1
    assert shrunk.add(original / "photos").added == gone and not shrunk.removed
    shrunk.remove(gone)
    with pytest.raises(RetrievalError, match="cannot be left without an image"):
        shrunk.remove(shrunk.inside(original / "photos"))
    assert len(Retriever.load(folder / "model").files) == 1


def test_a_data_set_that_was_moved_is_named(folder: Path, original: Path) -> None:
    shutil.copytree(original / "photos", folder / "moved")
    loaded = Retriever.load(folder / "model", root=folder / "moved")
    assert loaded.add([folder / "moved" / loaded.files[0]]).known == [loaded.files[0]]


def spoil(folder: Path, what: str) -> None:
    path = folder / what
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(100) + content[len(content) // 2 + 100 :])


def forget_an_option(folder: Path) -> None:
    """As models of an earlier version lack one."""
    arrays = formats.read(folder / "model" / "model.npz")
    about = text_of(arrays["about"])
    del about["mirrored"]
    formats.write(folder / "model" / "model.npz", arrays | {"about": text_array(about)})


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda folder: spoil(folder, "model/model.npz"), "model.npz is damaged: delete it and run `make`"),
        (
            lambda folder: spoil(folder, "model/gallery.npz"),
            "gallery.npz is damaged: delete it and run `make`",
        ),
        (lambda folder: (folder / "model" / "gallery.npz").write_bytes(b""), "gallery.npz is damaged"),
        (lambda folder: (folder / "model" / "model.npz").unlink(), "model.npz is missing: run `make`"),
        (
            lambda folder: shutil.copy(folder / "model" / "gallery.npz", folder / "model" / "model.npz"),
            "holds no model and its gallery",
        ),
        (forget_an_option, "holds no model and its gallery"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(folder: Path, damage, message: str) -> None:
    damage(folder)
    with pytest.raises(RetrievalError) as error:
        Retriever.load(folder / "model")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_gallery_of_another_model_is_refused_and_left_as_it_is(folder: Path) -> None:
    arrays = formats.read(folder / "model" / "model.npz")
    formats.write(folder / "model" / "model.npz", arrays | {"usual": arrays["usual"] + 1})
    before = gallery(folder)
    with pytest.raises(RetrievalError, match=r"gallery.npz belongs to another model: run `make`"):
        Retriever.load(folder / "model")
    assert gallery(folder) == before


def test_what_is_no_picture_and_a_folder_without_any_are_errors(folder: Path, original: Path) -> None:
    loaded = Retriever.load(original / "model")
    with pytest.raises(RetrievalError, match=r"text.png cannot be read"):
        loaded.search(folder / "new" / "text.png")
    (folder / "empty").mkdir()
    with pytest.raises(RetrievalError, match="empty holds no images"):
        images_in(folder / "empty")
    with pytest.raises(RetrievalError, match="nowhere is no file and no folder"):
        images_in(folder / "nowhere")


@pytest.fixture
def store(original: Path, tmp_path: Path, encoder: bytes) -> Store:
    """What notebooks keep of the data set."""
    store, files = Store(tmp_path / "artifacts", {}), find_images(original / "photos")
    parts = np.array(PARTS)[np.minimum(np.arange(len(files)) % 5, 2)]
    for name, content in index_maps(files, parts, np.arange(len(files))).items():
        store.save(name, content)
    store.save("dataset.json", {"sha256": "photos"})
    store.save("small.tflite", encoder)
    describe = extraction.to_embedding(encoder, sizes=SIZES, mirrored=True)
    for part in PARTS:
        rows = np.stack([describe(original / "photos" / file) for file in store.files(part)])
        store.save(f"small_{part}.npy", rows)
    store.save("small_open_set.npy", np.linspace(0, 1, 8, dtype=np.float32)[:, np.newaxis])
    return store


def keep(store: Store, original: Path, **options: object) -> Retriever:
    return keeping.keep(store, original / "photos", "small", encoder="small.tflite", sizes=SIZES, **options)


def test_notebooks_keep_all_parts_and_another_model_takes_over_what_was_added(
    store: Store, original: Path, folder: Path
) -> None:
    kept = keep(store, original)
    assert kept.files == [file for part in PARTS for file in store.files(part)] and kept.model.lda is None
    kept.add([folder / "new" / "a.png"])
    kept.remove([original / "photos" / kept.files[0]])
    grown = (store.folder / "models" / "small" / "gallery.npz").read_bytes()
    assert keep(store, original).added == kept.added
    assert (store.folder / "models" / "small" / "gallery.npz").read_bytes() == grown
    other = keep(store, original, shrinkage=0.2)
    assert (other.files, other.removed) == (kept.files, kept.removed) and other.model.lda is not None
    np.testing.assert_allclose(other.features, kept.features, atol=1e-6)
    assert Retriever.load(store.folder / "models" / "small").files == kept.files
    shutil.copytree(original / "photos", folder / "others")
    another = keeping.keep(store, folder / "others", "small", encoder="small.tflite", sizes=SIZES)
    assert another.added == kept.added and not another.removed  # of another data set, by other files
    assert len(repr(another)) < 1000
    assert verify(store.folder)["models/small/gallery.npz"] == ""
    spoil(store.folder / "models", "small/gallery.npz")
    assert "is damaged" in verify(store.folder)["models/small/gallery.npz"]


def test_lda_of_a_model_is_fitted_to_train_and_calibrated_on_validation(store: Store, original: Path) -> None:
    model = keep(store, original, shrinkage=0.2).model
    train, val = (store.part("small", part) for part in ("train", "val"))
    fitted = lda.fit(train.features, train.categories, shrinkage=0.2)
    rows = [lda.transform(part.features, fitted) for part in (train, val)]
    np.testing.assert_array_equal(model.usual_lda, open_set.calibrate(*rows))
    np.testing.assert_array_equal(from_arrays(to_arrays(model)).lda[1], fitted[1])
