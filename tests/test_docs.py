"""The worked examples of the documentation run, and its picture shows the numbers of its tables."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import tiny
from contract import check_features, check_manifest, check_result, read
from PIL import Image

from retrieval.files import sha256
from retrieval.settings import PROJECT

ARCHITECTURE = (PROJECT / "docs/architecture.md").read_text("utf-8")
PHOTOGRAPHS = (PROJECT / "docs/own-photographs.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"^## Add (\w+ \w+)$.*?^```python run.*?\n(.*?)^```$", ARCHITECTURE, re.M | re.S))


@pytest.fixture
def environment(folder: Path, tmp_path: Path) -> dict[str, str]:
    """The settings of the small data set, on a copy of what the notebooks wrote."""
    shutil.copytree(folder / "artifacts", tmp_path / "artifacts")
    return os.environ | tiny.environment(folder) | {"ARTIFACTS": str(tmp_path / "artifacts")}


def run(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_example_is_short() -> None:
    assert list(EXAMPLES) == ["an encoder", "a metric", "a notebook"]
    for example in EXAMPLES.values():
        assert len([line for line in example.splitlines() if line.strip()]) < 15


# Each category has a colour of its own, which the encoder of the example sees.
@pytest.mark.parametrize(
    ("name", "figure", "least"),
    [pytest.param("an encoder", "P@3", 0.9, marks=pytest.mark.slow), ("a metric", "MRR", 0.0)],
)
def test_an_example_measures(name: str, figure: str, least: float, environment: dict[str, str]) -> None:
    printed = run(environment, "-c", EXAMPLES[name])
    assert least < float(re.search(rf"{figure} (\S+)", printed)[1]) <= 1


@pytest.mark.slow
def test_the_notebook_of_the_example_runs(environment: dict[str, str], tmp_path: Path) -> None:
    cells = EXAMPLES["a notebook"].split("# %%")[1:]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("#" + cell) for cell in cells])
    (tmp_path / "more").mkdir()
    nbformat.write(notebook, tmp_path / "more/g_first_hit.ipynb")
    run(environment, "-m", "retrieval.commands.run", str(tmp_path / "more/g_first_hit.ipynb"))
    assert (tmp_path / "artifacts/results/first_hit.json").is_file()


@pytest.mark.slow
def test_the_encoder_of_the_example_goes_through_the_notebooks(folder: Path, tmp_path: Path) -> None:
    """And leaves nothing once it is taken back; its weights are random here."""
    (example,) = re.findall(r"^```python run\n(.*?)^```$", PHOTOGRAPHS, re.M | re.S)
    assert 'weights="imagenet"' in example
    example = example.replace('weights="imagenet"', "weights=None")
    subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True, capture_output=True)
    encoder = tmp_path / "efficientnet.keras"
    shutil.copytree(folder, tmp_path / "copy")
    artifacts, steps = tmp_path / "copy" / "artifacts", [tiny.STEPS[step] for step in (0, 1, 3, 4)]
    before = read(artifacts / "manifest.json")
    done = tiny.run(*steps, folder=tmp_path / "copy", ENCODER=str(encoder))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "reused mobilenetv2_all.npy" in done.stdout and "custom encoder" in done.stdout
    check_features(artifacts, "custom", 1280)
    check_result(artifacts, "custom")
    assert read(artifacts / "results/custom.json")["weights"]["sha256"] == sha256(encoder)
    check_manifest(artifacts, tiny.STEPS)
    for step in steps[2:]:
        assert "custom encoder" in (artifacts / "notebooks" / f"{step}.html").read_text("utf-8")
    done = tiny.run(*steps, folder=tmp_path / "copy", ENCODER="default")
    assert done.returncode == 0 and "custom" not in done.stdout, done.stderr[-3000:]
    assert read(artifacts / "manifest.json") == before


def test_the_picture_shows_the_numbers_of_the_tables() -> None:
    """`docs/draw_beyond.py` draws it again."""
    spec = importlib.util.spec_from_file_location("draw_beyond", PROJECT / "docs/draw_beyond.py")
    draw_beyond = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw_beyond)
    numbers = draw_beyond.numbers(draw_beyond.RESULTS.read_text("utf-8"))
    assert Image.open(draw_beyond.PICTURE).text["Description"] == repr(numbers)
