"""The notebooks as committed, and all six executed on a small data set."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
import tiny

from retrieval.artifacts.store import open_store
from retrieval.commands.verify import verify
from retrieval.data.dataset import category_of
from retrieval.data.parts import PARTS
from retrieval.encoders import training
from retrieval.evaluation import metrics
from retrieval.features import normalising
from retrieval.search import neighbours
from retrieval.settings import PROJECT, read_settings
from retrieval.studies import unseen_categories
from retrieval.views import query

DIMENSIONS = {
    **{"mobilenetv2": 1280, "siamese_cnn": 128, "siamese_mobilenetv2": 1280, "proxy_mobilenetv2": 1280},
    **{"fused": 2560, "fused_weighted": 2560},
    **dict.fromkeys(("proxy_projected", "fused_projected", "expanded"), len(tiny.COLOURS) - 1),
}
RESULT_KEYS = {
    *("accuracy", "accuracy_interval", "anmrr", "anmrr_interval", "map", "map_interval", "precision_at"),
    *("best_categories", "worst_categories"),
    *("queries", "index_size", "split", "seed", "data", "weights"),
}


def test_there_are_these_six() -> None:
    assert sorted(path.stem for path in (PROJECT / "notebooks").glob("*.ipynb")) == tiny.STEPS


@pytest.mark.parametrize("step", tiny.STEPS)
def test_a_notebook_is_committed_clean(step: str) -> None:
    content = json.loads(tiny.committed(step).read_text("utf-8"))
    nbformat.validate(content)
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    identifiers = [cell["id"] for cell in content["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    for cell in content["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count"), cell["id"]
        assert "".join(cell["source"]).strip(), f"{cell['id']} is empty"


@pytest.fixture(scope="module")
def artifacts(folder: Path) -> Path:
    return folder / "artifacts"


def read(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("step", tiny.STEPS)
def test_the_executed_notebook_is_kept_as_notebook_and_page(artifacts: Path, step: str) -> None:
    executed = nbformat.read(artifacts / "notebooks" / f"{step}.ipynb", 4)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert "</html>" in (artifacts / "notebooks" / f"{step}.html").read_text("utf-8")


@pytest.mark.parametrize("step", tiny.STEPS)
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
        assert set(categories.values()) == set(tiny.COLOURS)
        files += names.values()
    assert len(set(files)) == len(files) == tiny.IMAGES * len(tiny.COLOURS)


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
    generated = {"manifest.json", "settings.txt", ".locks/run", ".locks/make", ".locks/manifest"}
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
    assert (result["data"]["name"], result["data"]["images"]) == ("photos", tiny.IMAGES * len(tiny.COLOURS))
    assert result["data"]["comparable"] is False
    assert result["weights"].keys() >= {"name", "sha256"}
    assert set(result["precision_at"]) >= {"1", "3", "10"}
    for measure in ("accuracy", "anmrr", "map"):
        low, high = result[f"{measure}_interval"]
        assert 0 <= low <= result[measure] <= high <= 1
    queries = pd.read_csv(artifacts / "results" / f"{features}_queries.csv")
    assert list(queries.file) == list(read(artifacts / "test_index_file.json").values())
    assert result["map"] == pytest.approx(queries.average_precision.mean())
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


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the settings those of a folder."""
    for name, value in tiny.environment(folder).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("features", query.FEATURES)
def test_an_indexed_image_as_query_has_its_row_and_its_neighbours(folder, features, monkeypatch) -> None:
    enter(folder, monkeypatch)
    store = open_store(read_settings())
    image = store.data / store.files("test")[1]
    rows = {part: store.features(features, part) for part in ("train", "test")}
    np.testing.assert_array_equal(query.encoder(store, features)(image), rows["test"][1])
    answer = query.find(store, image, k=5, features=features, parts=("train",))
    unit = [normalising.l2_normalise(rows["train"]), normalising.l2_normalise(rows["test"][[1]])]
    distances, positions = neighbours.nearest(*unit, 5)
    assert answer.files == [store.files("train")[row] for row in positions[0]]
    np.testing.assert_array_equal(answer.distances, distances[0])


def test_images_without_categories_are_indexed_and_can_be_queried(tmp_path: Path) -> None:
    tiny.prepare(tmp_path)
    images = [image.rename(tmp_path / image.name) for image in tmp_path.glob("photos/**/*.png")]
    shutil.rmtree(tmp_path / "photos")
    (tmp_path / "photos").mkdir()
    for image in images:
        image.rename(tmp_path / "photos" / image.name)
    done = tiny.run(*tiny.STEPS, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    skipped = [line for line in done.stdout.splitlines() if " skipped: photos has not two category" in line]
    assert [line.split()[0] for line in skipped] == tiny.STEPS[2:]
    assert not any(verify(tmp_path / "artifacts").values())
    asked = os.environ | tiny.environment(tmp_path) | {"IMAGE": str(tmp_path / "photos" / images[0].name)}
    for module, line in (
        ("query", f"   1     0.000  {images[0].name}"),
        ("report", "no table: photos has not"),
    ):
        command = [sys.executable, "-m", f"retrieval.{module}"]
        done = subprocess.run(command, env=asked, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "") and line in done.stdout


def test_categories_can_be_held_out_of_training(folder: Path, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(folder / "artifacts", tmp_path / "artifacts")
    enter(folder, monkeypatch)
    monkeypatch.setenv("ARTIFACTS", str(tmp_path / "artifacts"))
    trained, indexed = [], []

    def train(model, train_set, val_set, recipe, **options):
        trained.extend([*train_set[1], *val_set[1]])
        return training.train(model, train_set, val_set, recipe, **options)

    def evaluate(rankings, index_categories, query_categories):
        indexed.extend(index_categories)
        return metrics.evaluate(rankings, index_categories, query_categories)

    monkeypatch.setattr(unseen_categories, "training", SimpleNamespace(train=train))
    monkeypatch.setattr(unseen_categories, "evaluate", evaluate)
    settings = read_settings()
    store = open_store(settings)
    table = unseen_categories.measure(store, settings, 0)
    categories = store.categories("train")
    held_out = set(unseen_categories.hold_out(categories, draw=0))
    assert set(trained) == set(categories) - held_out and set(indexed) == held_out
    assert table.encoder.unique().tolist() == ["plain", "fine-tuned", "interpolated"]
    for _, queries in table.groupby("encoder"):
        assert {category_of(file) for file in queries.file} == held_out
        assert len(queries) == 2 * tiny.IMAGES // 5


def test_draws_hold_out_other_categories() -> None:
    categories = np.arange(15).astype(str)
    drawn = [unseen_categories.hold_out(categories, draw=draw) for draw in range(5)]
    assert sorted(np.concatenate(drawn)) == sorted(categories)


def test_feedback_is_reported(artifacts: Path) -> None:
    assert read(artifacts / "results" / "feedback.json")["data"]["name"] == "photos"


def test_a_page_shows_no_buttons_that_nothing_answers(artifacts: Path) -> None:
    executed = nbformat.read(artifacts / "notebooks" / "06_rocchio_feedback.ipynb", 4)
    (cell,) = (cell for cell in executed.cells if "judging.show" in cell.source)
    assert [list(output.data) for output in cell.outputs] == [["text/markdown"]]
    assert "widgets" not in executed.metadata
    page = (artifacts / "notebooks" / "06_rocchio_feedback.html").read_text("utf-8")
    assert "open this notebook in Jupyter" in page and "widget-view" not in page


def test_a_later_notebook_stops_where_an_artifact_is_missing(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "artifacts" / "notebooks")
    (tmp_path / "copy" / "artifacts" / "mobilenetv2_train.npy").unlink()
    # The artifacts stay those of the same data and weights.
    settings = {"DATA": str(folder / "photos"), "WEIGHTS": str(folder / "random.weights.h5")}
    done = tiny.run("04_kdtree_retrieval", folder=tmp_path / "copy", **settings)
    assert done.returncode == 1
    assert done.stderr == (
        "04_kdtree_retrieval stopped: artifacts/mobilenetv2_train.npy is missing: "
        "run notebook 02_mobilenetv2_features or `make`\n"
    )
    assert not (tmp_path / "copy" / "artifacts" / "notebooks").exists()


def test_a_later_notebook_stops_where_an_artifact_is_stale(folder: Path) -> None:
    before = (folder / "artifacts" / "manifest.json").read_bytes()
    done = tiny.run("06_rocchio_feedback", folder=folder, SEED="1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "with seed=0, now seed=1" in done.stderr
    assert (folder / "artifacts" / "manifest.json").read_bytes() == before


def test_a_second_run_reuses_everything(folder: Path) -> None:
    before = (folder / "artifacts" / "manifest.json").read_bytes()
    encoder = (folder / "artifacts" / "siamese_mobilenetv2.keras").stat().st_mtime_ns
    done = tiny.run(*tiny.STEPS, folder=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "reused mobilenetv2_train.npy" in done.stdout
    assert (folder / "artifacts" / "siamese_mobilenetv2.keras").stat().st_mtime_ns == encoder
    assert (folder / "artifacts" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("step", tiny.STEPS)
def test_a_category_named_like_a_script_is_none(artifacts: Path, step: str) -> None:
    assert tiny.HOSTILE not in (artifacts / "notebooks" / f"{step}.html").read_text("utf-8")
    executed = nbformat.read(artifacts / "notebooks" / f"{step}.ipynb", 4)
    data = [output.get("data", {}) for cell in executed.cells for output in cell.get("outputs", [])]
    shown = [each.get(kind, "") for each in data for kind in ("text/html", "text/markdown")]
    assert not [text for text in shown if tiny.HOSTILE in text]


def test_two_runs_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """All but the training, whose parallel sums TensorFlow adds up in an order of its own each time."""
    first, second = folder / "artifacts", tmp_path / "artifacts"
    done = tiny.run(*tiny.STEPS[:2], folder=folder, ARTIFACTS=str(second))
    assert done.returncode == 0, done.stderr[-3000:]
    untrained = read(second / "manifest.json")
    assert {"audit.csv", "test_index_file.json", "mobilenetv2_all.npy", "mobilenetv2_test.npy"} <= set(
        untrained
    )
    for name in untrained:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    shutil.copytree(first, second, dirs_exist_ok=True)
    shutil.rmtree(second / "results")
    for fused in second.glob("fused*"):
        fused.unlink()
    done = tiny.run(*tiny.STEPS[3:], folder=folder, ARTIFACTS=str(second))
    assert done.returncode == 0, done.stderr[-3000:]
    for name in read(first / "manifest.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
