"""The bench: what it computes from its measurements, and all contenders measured on a small data set."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny

from retrieval.artifacts.store import open_store
from retrieval.bench import contenders, measure
from retrieval.commands import bench
from retrieval.data.splitting import index_maps
from retrieval.encoders import conversion, siamese
from retrieval.errors import RetrievalError
from retrieval.settings import read_settings

SIZES = {"extraction": (4, 8), "training": (4, 8), "growing index": (600, 1200), "search": (1,)}


def rows(*measurements: tuple) -> pd.DataFrame:
    columns = ["round", "measured", "contender", "size", "seconds", "memory"]
    return pd.DataFrame(measurements, columns=columns).assign(recall=np.nan)


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the bench needs of the notebooks' artifacts, with a small untrained encoder."""
    tiny.prepare(tmp_path)
    for name, value in tiny.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    store, photos = open_store(read_settings()), tmp_path / "photos"
    files = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    parts = np.repeat(["train", "val", "test"], [20, 10, 10])
    for name, content in index_maps(files, parts, np.arange(len(files))).items():
        store.save(name, content)
    for name in ("dataset.json", "weights.json"):
        store.save(name, {"name": "tiny"})
    store.save("mobilenetv2.tflite", conversion.convert(siamese.siamese_cnn(seed=0)))
    vectors = np.random.default_rng(0).random((40, 8), np.float32)
    for part in ("train", "val", "test"):
        store.save(f"mobilenetv2_{part}.npy", vectors[parts == part])
    return tmp_path / "artifacts"


def test_rounds_are_summed_up_and_growth_is_fitted() -> None:
    measured = [
        (number, "search", "exact", size, size**1.5 * factor, size * 2**20)
        for number, factor in enumerate((3.0, 1.0, 2.0))
        for size in (10, 20, 40)
    ]
    table = measure.summarise(rows(*measured, (0, "search", "other", 10, 1.0, 5.0)))
    own = table.loc["search", "exact"]
    assert own.seconds.tolist() == pytest.approx([2.0 * size**1.5 for size in (10, 20, 40)])
    assert (own.most / own.least).tolist() == pytest.approx([3.0] * 3)
    assert own.memory_mb.tolist() == [10, 20, 40]
    assert own.exponent.tolist() == pytest.approx([1.5] * 3)
    assert np.isnan(table.loc["search", "other"].exponent.item())


def test_ratios_are_taken_within_a_round_at_the_largest_size() -> None:
    measured = []
    for number, load in enumerate((1.0, 10.0, 2.0)):  # a machine that is busy in one round
        for kind, other, own in measure.RATIOS.values():
            measured.append((number, kind, other, 20, 6.0 * load, 1))
            measured.append((number, kind, own, 20, 2.0 * load, 1))
            measured.append((number, kind, own, 10, 9.0, 1))
    table = rows(*measured).drop_duplicates(["round", "measured", "contender", "size"])
    assert measure.ratios(table) == pytest.approx(dict.fromkeys(measure.RATIOS, 3.0))


def test_an_index_beyond_the_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_memory", lambda: 1000 * 1280 * 12)
    assert measure.fitting("KD-tree", (100, 800, 801, 3000)) == [100, 800]
    assert measure.fitting("exact", (100, 800, 801, 3000)) == [100, 800, 801]
    assert measure.fitting("model.predict", (10**9,)) == [10**9]
    (line,) = measure.left_out({"growing index": (800, 3000), "search": (1,)})[:1]
    assert line.startswith("growing index, exact: from 3,000 rows on")


def test_a_contender_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PACKAGES", {"FAISS, flat": "no_such_package"})
    assert measure.left_out({"search": (1,)}) == [
        "FAISS, flat: left out, install requirements-scale.txt to have it measured"
    ]
    monkeypatch.setattr(measure, "apart", lambda measured, contender, sizes: [{"contender": contender}])
    assert "FAISS, flat" not in set(measure.run({"search": (1,)}, rounds=1).contender)


@pytest.mark.slow
def test_everything_is_measured_and_written_down(artifacts: Path, monkeypatch) -> None:
    monkeypatch.setattr(bench, "SIZES", SIZES)
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(sys, "argv", ["bench"])
    for name, value in {"TRAINED": 40, "CROP": 32, "CATEGORIES": 2, "IMAGES": 2}.items():
        monkeypatch.setattr(contenders, name, value)
    apart = measure.apart

    def here(measured: str, contender: str, sizes: list[int]) -> list[dict]:
        if (measured, contender) == ("search", "exact"):
            return list(apart(measured, contender, sizes))
        return [measure.measure(measured, contender, size) for size in sizes]

    monkeypatch.setattr(measure, "apart", here)
    bench.main()
    content = json.loads((artifacts / "bench.json").read_text("utf-8"))
    assert {"machine", "data", "weights", "rows", "exponents", "ratios"} <= content.keys()
    assert {"extraction_vs_predict", "extraction_vs_limit"} <= content["ratios"].keys()
    assert {"exact_vs_kdtree", "training_vs_plain_keras"} <= content["ratios"].keys()
    assert all(content["ratios"].values())
    for row in content["rows"]:
        assert 0 < row["least"] <= row["seconds"] <= row["most"] and row["memory_mb"] > 10
    found = {row["what"]: row["recall"] for row in content["rows"] if row["what"].startswith("search")}
    assert found["search: exact"] == found["search: KD-tree"] == found["search: scikit-learn, brute"] == 1.0
    assert {row["size"] for row in content["rows"] if row["what"] == "extraction: this project"} == {4, 8}
    assert (artifacts / "figures" / "bench.png").stat().st_size > 10_000


def test_a_contender_that_fails_is_named(tmp_path: Path, monkeypatch) -> None:
    tiny.draw(tmp_path / "photos")
    for name, value in tiny.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RetrievalError, match=r"bench: search, exact: .*is missing"):
        list(measure.apart("search", "exact", [1]))
