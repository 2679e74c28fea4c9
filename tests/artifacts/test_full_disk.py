"""A disk that is full while features are extracted or a checkpoint is written, and has space again later.

Each case runs in a process of its own, which may mount a small disk that nobody else sees.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retrieval.artifacts.store import Store
from retrieval.commands.verify import verify
from retrieval.errors import RetrievalError
from retrieval.settings import PROJECT

pytestmark = pytest.mark.slow

FEATURES = "mobilenetv2_train.npy"
MOUNT = "mount -t tmpfs -o size=2m none ."


def isolated(folder: Path, command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", f"{MOUNT} && cd $PWD && {command}"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{PROJECT / 'notebooks'}:{Path(__file__).parent}"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("case", ["array", "encoder", "extraction", "checkpoint"])
def test_a_full_disk_costs_nothing_that_was_finished(tmp_path: Path, case: str) -> None:
    try:
        refused = isolated(tmp_path, "true").returncode
    except FileNotFoundError:
        refused = True
    if refused:
        pytest.skip("this user may not mount a disk")
    done = isolated(tmp_path, f"{sys.executable} -c 'import test_full_disk; test_full_disk.{case}()'")
    assert done.returncode == 0, done.stderr[-3000:]


def fill_disk(*, leave: int) -> Path:
    """Leaves so many bytes free; deleting the file that is returned frees the others."""
    ballast, disk = Path("ballast"), os.statvfs(".")
    ballast.write_bytes(bytes(disk.f_bavail * disk.f_frsize - leave))
    return ballast


def made(store: Store) -> np.ndarray:
    old = np.ones((3, 4), np.float32)
    store.save(FEATURES, old)
    return old


def assert_stops_in_one_line(action) -> None:
    with pytest.raises(RetrievalError) as error:
        action()
    assert "could not be written" in str(error.value) and "free space" in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(Path().rglob(".*-*"))


def array() -> None:
    store = Store(Path("artifacts"), {})
    old, ballast = made(store), fill_disk(leave=100_000)
    new = np.zeros((300, 100), np.float32)
    assert_stops_in_one_line(lambda: store.save(FEATURES, new))
    np.testing.assert_array_equal(store.load(FEATURES), old)
    ballast.unlink()
    store.save(FEATURES, new)
    np.testing.assert_array_equal(store.load(FEATURES), new)


def extraction() -> None:
    from PIL import Image

    from retrieval.data.images import load_image
    from retrieval.features import extraction

    for number in range(150):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(f"{number:03}.bmp")
    extraction.CHUNK = 64
    files, described = sorted(path.name for path in Path().glob("*.bmp")), []
    store = Store(Path("artifacts"), {})

    def pixels(path: Path) -> np.ndarray:
        described.append(path)
        return load_image(path, 8).reshape(192).astype(np.float32)

    def make() -> np.ndarray:
        return store.make(
            FEATURES,
            by=lambda path: extraction.extract(pixels, Path(), files, unfinished=path),
            settings={"size": 8},
        )

    old, ballast = made(store), fill_disk(leave=75_000)
    assert_stops_in_one_line(make)
    np.testing.assert_array_equal(store.load(FEATURES), old)
    ballast.unlink()
    described.clear()
    new = make()
    assert new.shape == (150, 192) and not any(verify(store.folder).values())
    assert len(described) == 150 - 64
    np.testing.assert_array_equal(new[:, 0], np.arange(150))
    assert not Path("artifacts/unfinished").exists()


def checkpoint() -> None:
    import test_damaged

    folder = Path("artifacts/unfinished/encoder/recipe")
    old = test_damaged.train(folder, 1)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    failures = 0
    for leave in range(0, 80_000, 8192):
        ballast = fill_disk(leave=leave)
        try:
            new = test_damaged.train(folder, 2)
            break
        except RetrievalError as error:
            assert "could not be written" in str(error) and "\n" not in str(error)
            failures += 1
        finally:
            ballast.unlink()
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert failures and new.epoch.tolist() == [1, 2]
    assert new.iloc[0].equals(old.iloc[0])


def encoder() -> None:
    import keras

    store, failures, name = Store(Path("artifacts"), {}), 0, "siamese_cnn.keras"
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(5000)])
    store.save(name, model)
    for leave in range(0, 200_000, 4096):
        ballast = fill_disk(leave=leave)
        try:
            store.save(name, model)
            break
        except RetrievalError as error:
            assert "could not be written" in str(error) and "\n" not in str(error)
            failures += 1
        finally:
            ballast.unlink()
        store.load(name)
        assert [path.name for path in store.folder.iterdir() if path.is_file()] == ["manifest.json", name]
    assert failures and store.is_intact()
