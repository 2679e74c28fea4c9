"""The six notebooks, as committed and executed on a small data set."""

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
import tiny
from contract import check_executed, check_features, check_manifest, check_result, read
from pictures import scene
from PIL import Image

from retrieval.artifacts.store import open_store
from retrieval.commands.verify import verify
from retrieval.data.parts import PARTS
from retrieval.errors import shown
from retrieval.features.normalising import l2_normalise
from retrieval.search.neighbours import nearest
from retrieval.settings import PROJECT, read_settings
from retrieval.views import query

DIMENSIONS = {
    **{"mobilenetv2": 1280, "siamese_cnn": 128, "siamese_mobilenetv2": 1280},
    **{"fused": 2560, "fused_weighted": 2560},
}
SEARCHED = ("mobilenetv2", "siamese_mobilenetv2")
# Announced in the first cell of every notebook.
ANNOUNCED = ("**Takes**", "**Leaves**", "**Time:**", "**Ends with**")


def test_these_are_all_notebooks() -> None:
    folder = PROJECT / "notebooks"
    found = [path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.ipynb")]
    assert sorted(found) == tiny.STEPS + tiny.MORE


@pytest.mark.parametrize("step", tiny.STEPS + tiny.MORE)
def test_a_notebook_is_committed_clean(step: str) -> None:
    content = json.loads(tiny.committed(step).read_text("utf-8"))
    nbformat.validate(content)
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    identifiers = [cell["id"] for cell in content["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    for cell in content["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count"), cell["id"]
        assert "".join(cell["source"]).strip(), f"{cell['id']} is empty"


@pytest.mark.parametrize("step", tiny.STEPS + tiny.MORE)
def test_a_notebook_is_short_and_says_what_it_does(step: str) -> None:
    cells = json.loads(tiny.committed(step).read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(cells) <= 32 and len(code) <= len(cells) / 2 + 1
    assert max(len("".join(cell["source"]).splitlines()) for cell in code) <= 16
    first = "".join(cells[0]["source"])
    assert first.startswith("# ") and all(line in first for line in ANNOUNCED)
    assert cells[-1]["cell_type"] == "markdown"
    prose = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert step in tiny.MORE or ("## Try it" in prose and "<details>" in prose)


@pytest.fixture(scope="module")
def artifacts(folder: Path) -> Path:
    return folder / "artifacts"


@pytest.mark.parametrize("step", tiny.STEPS)
def test_the_executed_notebook_is_kept_as_notebook_and_page(artifacts: Path, step: str) -> None:
    check_executed(artifacts, step)


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


@pytest.mark.parametrize("features", DIMENSIONS)
def test_features_and_results_are_what_the_contract_says(artifacts: Path, features: str) -> None:
    check_features(artifacts, features, DIMENSIONS[features])
    check_result(artifacts, features)


def test_the_manifest_covers_and_fits_what_is_there(artifacts: Path) -> None:
    check_manifest(artifacts, tiny.STEPS)


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the settings those of a folder."""
    for name, value in tiny.environment(folder).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("features", SEARCHED)
def test_a_kept_model_gives_the_rows_and_neighbours_that_the_notebooks_measured(
    folder, features, monkeypatch
) -> None:
    enter(folder, monkeypatch)
    store = open_store(read_settings())
    retriever = query.open_retriever(store, folder / "photos", features)
    parts = {part: l2_normalise(store.features(features, part)) for part in PARTS}
    assert retriever.files == [file for part in PARTS for file in store.files(part)]
    np.testing.assert_array_equal(retriever.features, np.concatenate(list(parts.values())))
    for row, file in enumerate(store.files("test")):
        image = folder / "photos" / file
        np.testing.assert_allclose(retriever.model.encode(image), parts["test"][row], atol=1e-7)
        positions = nearest(retriever.features, parts["test"][[row]], 5, method="exact")[1]
        assert retriever.search(image, 5).files == [retriever.files[each] for each in positions[0]]


@pytest.mark.slow
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
        ("query", f"   1     0.000  {shown(images[0].name)}"),
        ("table", "photos has not two category folders"),
        ("report", "photos has not two category folders"),
    ):
        command = [sys.executable, "-m", f"retrieval.commands.{module}"]
        done = subprocess.run(command, env=asked, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "") and line in done.stdout


def few_scenes(number: int) -> Image.Image:
    """Of five images of a category, copies of three."""
    return scene(number // 5 * 5 + number % 3, size=64 + number)


def black(number: int) -> Image.Image:
    return Image.new("RGB", (64 + number, 64))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "images", "skipped"),
    [(few_scenes, 5, ["06_rocchio_feedback", "e_feedback"]), (black, 16, [])],
    ids=["few scenes", "black"],
)
def test_images_that_leave_little_to_measure_go_through(tmp_path: Path, draw, images, skipped) -> None:
    for number in range(2 * images):
        folder = tmp_path / "photos" / "ab"[number // images]
        folder.mkdir(parents=True, exist_ok=True)
        draw(number).save(folder / f"{number}.png")
    tiny.save_random_weights(tmp_path / "random.weights.h5")
    done = tiny.run(*tiny.STEPS, "more/a_protocol", "more/e_feedback", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split()[0] for line in done.stdout.splitlines() if " skipped: 3 rounds" in line]
    assert lines == skipped


def test_feedback_is_reported(artifacts: Path) -> None:
    assert read(artifacts / "results" / "feedback.json")["data"]["name"] == "photos"


@pytest.mark.parametrize(
    ("step", "call", "before"),
    [
        ("04_kdtree_retrieval", "query_by_example.show", ["stream", "display_data"]),
        ("06_rocchio_feedback", "judging.show", []),
    ],
)
def test_a_page_shows_no_buttons_that_nothing_answers(
    artifacts: Path, step: str, call: str, before: list[str]
) -> None:
    executed = nbformat.read(artifacts / "notebooks" / f"{step}.ipynb", 4)
    (cell,) = (cell for cell in executed.cells if call in cell.source)
    *example, sentence = cell.outputs
    assert [output.output_type for output in example] == before and list(sentence.data) == ["text/markdown"]
    assert "widgets" not in executed.metadata
    page = (artifacts / "notebooks" / f"{step}.html").read_text("utf-8")
    assert "open this notebook in Jupyter" in page and "widget-view" not in page


def test_a_later_notebook_stops_where_an_artifact_is_missing(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "artifacts" / "notebooks")
    (tmp_path / "copy" / "artifacts" / "mobilenetv2_train.npy").unlink()
    done = tiny.run("04_kdtree_retrieval", folder=tmp_path / "copy")
    assert done.returncode == 1
    assert done.stderr == (
        "04_kdtree_retrieval stopped: artifacts/mobilenetv2_train.npy is missing: "
        "run notebook 02_mobilenetv2_features or `make`\n"
    )
    assert not (tmp_path / "copy" / "artifacts" / "notebooks").exists()


def test_a_later_notebook_stops_at_a_setting_that_is_not_the_runs(folder: Path) -> None:
    before = (folder / "artifacts" / "manifest.json").read_bytes()
    done = tiny.run("06_rocchio_feedback", folder=folder, SEED="1")
    assert done.returncode == 1
    assert done.stderr == (
        f"06_rocchio_feedback stopped: SEED=1 is not what {folder / 'artifacts'} was made with: "
        "run `make SEED=1` first, or leave SEED out\n"
    )
    assert (folder / "artifacts" / "manifest.json").read_bytes() == before


@pytest.mark.slow
def test_an_encoder_that_does_not_fit_stops_before_anything_is_extracted(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "artifacts", tmp_path / "artifacts")
    (tmp_path / "artifacts" / "mobilenetv2_all.npy").unlink()
    (tmp_path / "bad.tflite").write_text("no network")
    given = {"ENCODER": str(tmp_path / "bad.tflite"), "ARTIFACTS": str(tmp_path / "artifacts")}
    done = tiny.run(*tiny.STEPS[:2], folder=folder, **given)
    line = f"02_mobilenetv2_features stopped: ENCODER={tmp_path}/bad.tflite does not fit ("
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith(line)
    assert not list((tmp_path / "artifacts").glob("*_all.npy"))


@pytest.mark.slow
def test_a_second_run_reuses_everything(folder: Path, tmp_path: Path) -> None:
    """Wherever the folder lies by then."""
    shutil.copytree(folder, tmp_path / "moved")
    artifacts = tmp_path / "moved" / "artifacts"
    before = (artifacts / "manifest.json").read_bytes()
    encoder = (artifacts / "siamese_mobilenetv2.keras").stat().st_mtime_ns
    done = tiny.run(*tiny.STEPS, folder=tmp_path / "moved")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "reused mobilenetv2_train.npy" in done.stdout
    assert (artifacts / "siamese_mobilenetv2.keras").stat().st_mtime_ns == encoder
    assert (artifacts / "manifest.json").read_bytes() == before


@pytest.mark.slow
def test_another_precision_makes_features_anew_and_trains_nothing(tmp_path: Path) -> None:
    tiny.prepare(tmp_path)
    tiny.save_random_weights(tmp_path / "random.weights.h5", like=tmp_path / "photos")
    done = tiny.run(*tiny.STEPS[:3], folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    before = read(tmp_path / "artifacts" / "manifest.json")
    done = tiny.run(*tiny.STEPS[:3], folder=tmp_path, PRECISION="int8")
    assert done.returncode == 0, done.stderr[-3000:]
    after = read(tmp_path / "artifacts" / "manifest.json")
    for name in ("siamese_cnn", "siamese_mobilenetv2"):
        assert after[f"{name}.keras"] == before[f"{name}.keras"]
        assert after[f"{name}_test.npy"]["sha256"] != before[f"{name}_test.npy"]["sha256"]


@pytest.mark.slow
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
