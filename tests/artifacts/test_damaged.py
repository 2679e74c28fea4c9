"""More than 300 damaged files: each is named in one line or made anew, none is used, none runs code."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from retrieval.artifacts.store import Store
from retrieval.commands.verify import verify
from retrieval.encoders import training, triplets
from retrieval.errors import RetrievalError

pytestmark = pytest.mark.slow

FLIPS = 10
NAMES = [
    "train_index_file.json",
    "train_index_category.json",
    "images.json",
    "mobilenetv2_train.npy",
    "fused_train.npy",
    "audit.csv",
    "siamese_cnn_history.csv",
    "siamese_cnn.keras",
    "results/fused.json",
    "results/fused_report.csv",
]
Damage = Callable[[Path], None]


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def flip(share: float) -> Damage:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(share * len(content))] ^= 1 << int(1000 * share) % 8
        path.write_bytes(content)

    return damage


def truncate(share: float) -> Damage:
    return lambda path: os.truncate(path, int(share * path.stat().st_size))


def replace_by_pickle(path: Path) -> None:
    bomb = Bomb(path.with_name("exploded"))
    if path.suffix == ".npy":
        np.save(path, np.array([[bomb]], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(bomb))


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def forbid(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path.chmod(0)


def replace_by_lambda(path: Path) -> None:
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Lambda(lambda x: x)]).save(path)


def add_zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(1 << 24))


rng = np.random.default_rng(0)
DAMAGES: dict[str, Damage] = {
    **{f"flipped at {share:.4f}": flip(share) for share in rng.random(FLIPS)},
    **{f"truncated to {share}": truncate(share) for share in (0.25, 0.5, 0.75)},
    "emptied": truncate(0),
    "a pickle": replace_by_pickle,
    "a folder": replace_by_folder,
    "a loop of links": replace_by_loop,
    "forbidden": forbid,
}
ENCODER_DAMAGES = {"with a lambda": replace_by_lambda, "with a zip bomb": add_zip_bomb}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One artifact of each kind."""
    folder = tmp_path_factory.mktemp("made") / "artifacts"
    store = Store(folder, {})
    for name in NAMES:
        if name.endswith(".npy"):
            store.save(name, np.full((3, 4), len(name), np.float32))
        elif name.endswith(".csv"):
            store.save(name, pd.DataFrame({"a": [1, 2], "b": [0.5, len(name) / 8]}))
        elif name.endswith(".keras"):
            store.save(name, keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2)]))
        else:
            store.save(name, {str(row): f"{name}/{row}.jpg" for row in range(3)})
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made, tmp_path / "artifacts")
    return Store(tmp_path / "artifacts", {})


def assert_refused(store: Store, name: str) -> None:
    for use in (store.check, store.load):
        with pytest.raises(RetrievalError, match=rf"artifacts/{name} [^\n]*run notebook \d\d[^\n]*$"):
            use(name)
    with pytest.raises(RetrievalError, match=name):
        store.save("results/more.json", {}, needs=[name])
    assert verify(store.folder)[name]
    assert not store.is_intact()
    assert not list(store.folder.rglob("exploded"))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_artifact_is_named(store: Store, name: str, damage: str) -> None:
    DAMAGES[damage](store.folder / name)
    assert_refused(store, name)
    assert not any(problem for other, problem in verify(store.folder).items() if other != name)


@pytest.mark.parametrize("damage", ENCODER_DAMAGES)
def test_a_damaged_encoder_is_named(store: Store, damage: str) -> None:
    ENCODER_DAMAGES[damage](store.folder / "siamese_cnn.keras")
    assert_refused(store, "siamese_cnn.keras")


@pytest.mark.parametrize("other", NAMES)
@pytest.mark.parametrize("name", NAMES)
def test_an_artifact_in_the_place_of_another_is_named(store: Store, name: str, other: str) -> None:
    if name == other:
        pytest.skip("no damage")
    shutil.copy(store.folder / other, store.folder / name)
    assert_refused(store, name)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_manifest_passes_off_nothing_as_something_else(store: Store, damage: str) -> None:
    whole = store.manifest()
    DAMAGES[damage](store.folder / "manifest.json")
    try:
        now = store.manifest()
        hashes = [{name: each[name].get("sha256") for name in each} for each in (whole, now)]
        assert not store.is_intact() or hashes[0] == hashes[1]
    except RetrievalError as error:
        assert "manifest.json is damaged: delete it" in str(error) and "\n" not in str(error)
    assert not (store.folder / "exploded").exists()


RECIPE = training.Recipe(
    size=8,
    crop=8,
    least_area=0.5,
    batch=4,
    of_each=2,
    learning_rate=1e-3,
    epochs=3,
    patience=3,
)
LOSS = partial(triplets.hinge, margin=0.2)


def train(folder: Path, epochs: int) -> pd.DataFrame:
    keras.utils.set_random_seed(0)
    pool = [keras.layers.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype(np.uint8)
    data, recipe = (images, np.arange(8) % 2), training.Recipe(**vars(RECIPE) | {"epochs": epochs})
    return training.train(keras.Sequential(pool), data, data, recipe, loss=LOSS, seed=0, folder=folder)[1]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a training interrupted after two of three epochs."""
    folder = tmp_path_factory.mktemp("training") / "artifacts"
    train(folder, 2)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The history of a training from the start."""
    return train(tmp_path_factory.mktemp("training") / "artifacts", 3)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["history.json", "2.weights.h5"])
def test_a_damaged_checkpoint_starts_the_training_anew(
    checkpoints: Path, trained: pd.DataFrame, tmp_path: Path, capsys, name: str, damage: str
) -> None:
    shutil.copytree(checkpoints, tmp_path / "artifacts")
    DAMAGES[damage](tmp_path / "artifacts" / name)
    history = train(tmp_path / "artifacts", 3)
    assert "resumed" not in capsys.readouterr().out
    assert not (tmp_path / "artifacts" / "exploded").exists()
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), trained.drop(columns="seconds"), rtol=1e-3)


def test_the_checkpoints_of_another_training_are_not_used(checkpoints: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(checkpoints, tmp_path / "another recipe")
    assert len(train(tmp_path / "another recipe", 3)) == 3
    assert "resumed" not in capsys.readouterr().out
