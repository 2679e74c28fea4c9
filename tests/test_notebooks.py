"""The notebooks as committed, and all six executed on a small data set."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from retrieval.artifacts import PARTS, verify
from retrieval.settings import PROJECT

STEPS = [
    "01_split",
    "02_mobilenetv2_features",
    "03_siamese_encoders",
    "04_kdtree_retrieval",
    "05_feature_fusion",
    "06_rocchio_feedback",
]
DIMENSIONS = {"mobilenetv2": 1280, "siamese_cnn": 128, "siamese_mobilenetv2": 1280, "fused": 2560}
COLOURS = {"beaver": (130, 80, 30), "dolphin": (40, 90, 160), "fox": (210, 110, 30), "toad": (60, 140, 50)}
IMAGES = 10
RESULT_KEYS = {
    *("accuracy", "accuracy_interval", "anmrr", "map", "precision_at", "best_categories", "worst_categories"),
    *("queries", "index_size", "split", "seed", "data", "weights"),
}


def committed(step: str) -> Path:
    return PROJECT / "notebooks" / f"{step}.ipynb"


def test_there_are_these_six() -> None:
    assert sorted(path.stem for path in (PROJECT / "notebooks").glob("*.ipynb")) == STEPS


@pytest.mark.parametrize("step", STEPS)
def test_a_notebook_is_committed_clean(step: str) -> None:
    content = json.loads(committed(step).read_text("utf-8"))
    nbformat.validate(content)
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    identifiers = [cell["id"] for cell in content["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    for cell in content["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count"), cell["id"]
        assert "".join(cell["source"]).strip(), f"{cell['id']} is empty"


def draw(folder: Path) -> None:
    """Blurred noise in each category's own colour: no two images alike, categories easy to tell."""
    rng = np.random.default_rng(0)
    for category, colour in COLOURS.items():
        (folder / category).mkdir(parents=True)
        for number in range(IMAGES):
            noise = rng.integers(-60, 60, (12, 12, 3)) + colour
            image = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize(
                (72, 72), Image.Resampling.BICUBIC
            )
            image.save(folder / category / f"{category}-{number}.png")


def save_random_weights(path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    encoder = keras.applications.MobileNetV2(
        input_shape=(None, None, 3), include_top=False, pooling="avg", weights=None
    )
    encoder.save_weights(path)


def run(*steps: str, folder: Path, **settings: str) -> subprocess.CompletedProcess:
    """Executes notebooks with the data and weights beside the artifacts in `folder`."""
    environment = {
        "PYTHONPATH": str(PROJECT / "notebooks"),
        "DATA": str(folder / "photos"),
        "WEIGHTS": str(folder / "random.weights.h5"),
        "ARTIFACTS": str(folder / "artifacts"),
        "EPOCHS": "1",
        "SEED": "0",
        "SPLIT": "grouped",
    }
    return subprocess.run(
        [sys.executable, "-m", "retrieval.run", *map(committed, steps)],
        env=os.environ | environment | settings,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all six have been executed."""
    folder = tmp_path_factory.mktemp("project")
    draw(folder / "photos")
    save_random_weights(folder / "random.weights.h5")
    done = run(*STEPS, folder=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def artifacts(folder: Path) -> Path:
    return folder / "artifacts"


def read(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("step", STEPS)
def test_the_executed_notebook_is_kept_as_notebook_and_page(artifacts: Path, step: str) -> None:
    executed = nbformat.read(artifacts / "notebooks" / f"{step}.ipynb", 4)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert "</html>" in (artifacts / "notebooks" / f"{step}.html").read_text("utf-8")


@pytest.mark.parametrize("step", STEPS)
def test_the_data_in_use_are_named(artifacts: Path, step: str) -> None:
    executed = nbformat.read(artifacts / "notebooks" / f"{step}.ipynb", 4)
    printed = [output.get("text", "") for cell in executed.cells for output in cell.get("outputs", [])]
    assert any("photos" in text for text in printed)


def test_the_parts_hold_every_image_once(artifacts: Path) -> None:
    files = []
    for part in PARTS:
        names = read(artifacts / f"{part}_index_file.json")
        categories = read(artifacts / f"{part}_index_category.json")
        assert list(names) == list(categories) == [str(row) for row in range(len(names))]
        assert [name.split("/")[0] for name in names.values()] == list(categories.values())
        assert set(categories.values()) == set(COLOURS)
        files += names.values()
    assert len(set(files)) == len(files) == IMAGES * len(COLOURS)


def test_the_audit_has_its_columns(artifacts: Path) -> None:
    columns = ["kind", "file", "other_file", "distance", "part", "other_part"]
    assert list(pd.read_csv(artifacts / "audit.csv").columns) == columns


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("features", DIMENSIONS)
def test_features_are_what_the_contract_says(artifacts: Path, features: str, part: str) -> None:
    array = np.load(artifacts / f"{features}_{part}.npy", allow_pickle=False)
    assert array.shape == (len(read(artifacts / f"{part}_index_file.json")), DIMENSIONS[features])
    assert array.dtype == np.float32 and array.flags.c_contiguous and np.isfinite(array).all()
    assert len(np.unique(array, axis=0)) > 1


def test_the_manifest_covers_and_fits_what_is_there(artifacts: Path) -> None:
    assert not any(verify(artifacts).values())
    described = set(read(artifacts / "manifest.json"))
    generated = {"manifest.json", "settings.txt"}
    files = {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()}
    assert {
        name for name in files - generated if not name.startswith(("notebooks/", "figures/"))
    } == described


def test_the_encoders_are_kept(artifacts: Path) -> None:
    assert (artifacts / "siamese_cnn.keras").is_file() and (artifacts / "siamese_mobilenetv2.keras").is_file()


@pytest.mark.parametrize("features", DIMENSIONS)
def test_results_say_what_they_belong_to(artifacts: Path, features: str) -> None:
    result = read(artifacts / "results" / f"{features}.json")
    assert result.keys() >= RESULT_KEYS
    assert result["data"].keys() >= {"name", "images", "categories", "sha256", "comparable"}
    assert (result["data"]["name"], result["data"]["images"]) == ("photos", IMAGES * len(COLOURS))
    assert result["data"]["comparable"] is False
    assert result["weights"].keys() >= {"name", "sha256"}
    assert set(result["precision_at"]) >= {"1", "3", "10"}
    assert 0 <= result["anmrr"] <= 1 and 0 <= result["map"] <= 1
    assert (artifacts / "results" / f"{features}_report.csv").is_file()


@pytest.mark.parametrize("features", DIMENSIONS)
def test_accuracy_can_be_recomputed_from_the_features(artifacts: Path, features: str) -> None:
    index, queries = (
        np.load(artifacts / f"{features}_{part}.npy").astype(float) for part in ("train", "test")
    )
    categories = {
        part: np.array(list(read(artifacts / f"{part}_index_category.json").values()))
        for part in ("train", "test")
    }
    distances = np.linalg.norm(queries[:, np.newaxis] - index, axis=2)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :3]
    accuracy = (categories["train"][nearest] == categories["test"][:, np.newaxis]).mean()
    result = read(artifacts / "results" / f"{features}.json")
    assert result["accuracy"] == pytest.approx(accuracy, abs=1e-9)
    low, high = result["accuracy_interval"]
    assert 0 <= low <= accuracy <= high <= 1


def test_feedback_is_reported(artifacts: Path) -> None:
    assert read(artifacts / "results" / "feedback.json")["data"]["name"] == "photos"


def test_a_later_notebook_stops_where_an_artifact_is_missing(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "artifacts" / "notebooks")
    (tmp_path / "copy" / "artifacts" / "mobilenetv2_train.npy").unlink()
    # The artifacts stay those of the same data and weights.
    settings = {"DATA": str(folder / "photos"), "WEIGHTS": str(folder / "random.weights.h5")}
    done = run("04_kdtree_retrieval", folder=tmp_path / "copy", **settings)
    assert done.returncode == 1
    assert done.stderr == (
        "04_kdtree_retrieval stopped: artifacts/mobilenetv2_train.npy is missing: "
        "run notebook 02_mobilenetv2_features or `make`\n"
    )
    assert not (tmp_path / "copy" / "artifacts" / "notebooks").exists()


def test_a_later_notebook_stops_where_an_artifact_is_stale(folder: Path) -> None:
    before = (folder / "artifacts" / "manifest.json").read_bytes()
    done = run("06_rocchio_feedback", folder=folder, SEED="1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "with seed=0, now seed=1" in done.stderr
    assert (folder / "artifacts" / "manifest.json").read_bytes() == before


def test_a_second_run_reuses_everything(folder: Path) -> None:
    before = (folder / "artifacts" / "manifest.json").read_bytes()
    encoder = (folder / "artifacts" / "siamese_mobilenetv2.keras").stat().st_mtime_ns
    done = run(*STEPS, folder=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "reused mobilenetv2_train.npy" in done.stdout
    assert (folder / "artifacts" / "siamese_mobilenetv2.keras").stat().st_mtime_ns == encoder
    assert (folder / "artifacts" / "manifest.json").read_bytes() == before
