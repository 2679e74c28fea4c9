"""What the artifacts of any notebook have to be like."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import numpy as np
import pandas as pd
import pytest
import tiny

from retrieval.artifacts.steps import step_of
from retrieval.commands.verify import verify
from retrieval.data.parts import PARTS

RESULT_KEYS = {
    *("accuracy", "accuracy_interval", "anmrr", "anmrr_interval", "map", "map_interval", "precision_at"),
    *("r_precision", "map_at_r", "worst_f1", "worst_f1_interval"),
    *("best_categories", "worst_categories"),
    *("queries", "index_size", "split", "seed", "data", "weights"),
}


def read(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def check_executed(artifacts: Path, step: str) -> None:
    """The executed notebook is kept as notebook and page, without an error, and names the data in use."""
    executed = nbformat.read(artifacts / "notebooks" / f"{step}.ipynb", 4)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("photos" in output.get("text", "") for output in outputs)
    assert not any(tiny.CONTROL in output.get("text", "") for output in outputs)
    page = (artifacts / "notebooks" / f"{step}.html").read_text("utf-8")
    assert "</html>" in page and tiny.HOSTILE not in page and "&lt;details" not in page
    assert len(page) < 8_000_000
    for link in re.findall(r'href="([^":]*/docs/[^"#]*)', page):
        assert (artifacts / "notebooks" / Path(step).parent / unquote(link)).exists(), link
    shown = [
        output.get("data", {}).get(kind, "") for output in outputs for kind in ("text/html", "text/markdown")
    ]
    assert not [text for text in shown if tiny.HOSTILE in text]


def check_features(artifacts: Path, features: str, dimensions: int) -> None:
    """The arrays of all parts: float32, finite, C-contiguous, a row an image, not all the same."""
    for part in PARTS:
        array = np.load(artifacts / f"{features}_{part}.npy", allow_pickle=False)
        assert array.shape == (len(read(artifacts / f"{part}_index_file.json")), dimensions)
        assert array.dtype == np.float32 and array.flags.c_contiguous and np.isfinite(array).all()
        assert len(np.unique(array, axis=0)) > 1


def check_result(artifacts: Path, features: str) -> None:
    """A result says what it belongs to, and its accuracy can be recomputed from the features."""
    result = read(artifacts / "results" / f"{features}.json")
    assert result.keys() >= RESULT_KEYS
    assert result["data"].keys() >= {"name", "images", "categories", "sha256", "comparable"}
    assert (result["data"]["name"], result["data"]["images"]) == ("photos", tiny.IMAGES * len(tiny.COLOURS))
    assert result["data"]["comparable"] is False
    assert result["weights"].keys() >= {"name", "sha256"}
    assert set(result["precision_at"]) >= {"1", "3", "10"}
    for measure in ("accuracy", "anmrr", "map", "worst_f1"):
        low, high = result[f"{measure}_interval"]
        assert 0 <= low <= result[measure] <= high <= 1
    queries = pd.read_csv(artifacts / "results" / f"{features}_queries.csv")
    assert list(queries.file) == list(read(artifacts / "test_index_file.json").values())
    assert result["map"] == pytest.approx(queries.average_precision.mean())
    assert result["r_precision"] == pytest.approx(queries.r_precision.mean())
    assert result["map_at_r"] == pytest.approx(queries.average_precision_at_r.mean())
    assert 0 <= result["map_at_r"] <= min(result["r_precision"], result["map"])
    assert (artifacts / "results" / f"{features}_report.csv").is_file()
    assert result["accuracy"] == pytest.approx(recomputed(artifacts, features), abs=1e-9)


def recomputed(artifacts: Path, features: str) -> float:
    """P@3 of the test part against train, by the slow way."""
    gallery, queries = (
        np.load(artifacts / f"{features}_{part}.npy").astype(float) for part in ("train", "test")
    )
    categories = {
        part: np.array(list(read(artifacts / f"{part}_index_category.json").values()))
        for part in ("train", "test")
    }
    distances = np.linalg.norm(queries[:, np.newaxis] - gallery, axis=2)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :3]
    return (categories["train"][nearest] == categories["test"][:, np.newaxis]).mean()


def check_manifest(artifacts: Path, steps: list[str]) -> None:
    """The manifest fits and covers what is there, and each artifact names one of the steps."""
    assert not any(verify(artifacts).values())
    records = read(artifacts / "manifest.json")
    files = {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()}
    beside = ("manifest.json", "settings.json", "settings.txt", ".locks/", "notebooks/", "figures/")
    grown = {f"{name.rpartition('/')[0]}/gallery.npz" for name in records if name.endswith("/model.npz")}
    kept = {name for name in files if not name.startswith(beside) and "/.locks/" not in name}
    assert kept == records.keys() | grown
    assert {record["step"] for record in records.values()} == set(steps)
    assert all(step_of(name) == record["step"] for name, record in records.items())
