"""Imports: everything but the networks starts without TensorFlow, and the package in no time."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "notebooks"
LIGHT = (
    *("artifacts.store", "data.dataset", "features.extraction", "search.retriever", "search.keeping"),
    *("views.plots", "views.query", "views.page"),
)
IN_A_BLINK = ("search", "features", "evaluation")


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout


def seconds(code: str) -> float:
    """The best of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        python(code)
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_imports_no_network_library(module: str):
    loaded = set(python(f"import retrieval.{module}, sys; print(*sys.modules)").split())
    assert f"retrieval.{module}" in loaded
    assert not loaded & {"tensorflow", "keras"}


def test_search_features_and_evaluation_import_in_a_blink():
    folders = [PACKAGE / "retrieval" / room for room in IN_A_BLINK]
    # LiteRT runs encoders, and so needs its own library.
    modules = [f"retrieval.{room.name}.{path.stem}" for room in folders for path in room.glob("[a-z]*.py")]
    run = {"features.litert", "features.extraction", "search.model", "search.retriever", "search.keeping"}
    light = sorted(set(modules) - {f"retrieval.{module}" for module in run})
    loaded = set(python(f"import {', '.join(light)}, sys; print(*sys.modules)").split())
    assert not loaded & {"tensorflow", "keras", "sklearn", "matplotlib"}


@pytest.mark.parametrize("step", tiny.STEPS[3:])
def test_a_notebook_without_networks_starts_without_them(step: str):
    cells = json.loads(tiny.committed(step).read_text("utf-8"))["cells"]
    imports = "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "code"))
    loaded = set(python(f"{imports}\nimport sys; print(*sys.modules)").split())
    assert "retrieval.search" in loaded and not loaded & {"tensorflow", "keras", "torch"}


def test_what_the_package_needs_is_what_the_notebooks_need():
    wanted = re.search(r"\ndependencies = \[(.*?)\]", (PROJECT / "pyproject.toml").read_text(), re.DOTALL)[1]
    assert set(re.findall(r'"(.*?)"', wanted)) < set((PROJECT / "requirements.txt").read_text().splitlines())


@pytest.mark.slow
def test_the_package_can_be_installed_without_the_notebooks(tmp_path: Path):
    """Built from a copy: building leaves files behind."""
    shutil.copytree(PACKAGE, tmp_path / "clone" / "notebooks")
    shutil.copy(PROJECT / "requirements.txt", tmp_path / "clone")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path / "clone")
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        tmp_path / "site",
        tmp_path / "clone",
    ]
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    code = "import retrieval, sys; print(retrieval.Retriever.load.__module__, *sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    module, *loaded = done.stdout.split()
    assert module == "retrieval.search.retriever"
    assert not set(loaded) & {"tensorflow", "keras", "pandas", "sklearn", "matplotlib", "IPython"}


def test_the_package_imports_in_no_time():
    assert seconds("import retrieval") - seconds("pass") < 0.2
