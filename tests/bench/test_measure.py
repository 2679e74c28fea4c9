"""The bench: what it computes from its measurements, and all contenders measured on a small data set."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
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
from retrieval.settings import PRECISIONS, read_settings

EVERYTHING = {
    **{"extraction": (4, 8), "training": (4, 8), "adding": (4, 8), "growing gallery": (600, 1200)},
    **{"search": (1,), "search after LDA": (1,)},
}


def rows(*measurements: tuple) -> pd.DataFrame:
    columns = ["round", "measured", "contender", "size", "seconds", "memory"]
    return pd.DataFrame(measurements, columns=columns)


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
    for precision in PRECISIONS:
        store.save(f"bench_{precision}.tflite", conversion.convert(siamese.siamese_cnn(seed=0)))
    vectors = np.random.default_rng(0).random((40, 128), np.float32)
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
    contenders = dict.fromkeys((kind, each) for kind, *pair in measure.RATIOS.values() for each in pair)
    seconds = {each: 2.0 + number for number, each in enumerate(contenders)}
    measured = []
    for number, load in enumerate((1.0, 10.0, 2.0)):  # a machine that is busy in one round
        for each, second in seconds.items():
            measured += [(number, *each, 20, second * load, 1), (number, *each, 10, 9.0, 1)]
    expected = {
        name: seconds[kind, other] / seconds[kind, own] for name, (kind, other, own) in measure.RATIOS.items()
    }
    assert measure.ratios(rows(*measured)) == pytest.approx(expected)


def test_an_index_beyond_the_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_memory", lambda: 1500 * 1280 * 8)
    assert measure.fitting("KD-tree", (100, 800, 801, 3000)) == [100, 800]
    assert measure.fitting("exact", (100, 800, 801, 3000)) == [100, 800, 801]
    assert measure.fitting("model.predict", (10**9,)) == [10**9]
    (line,) = measure.left_out({"growing gallery": (800, 3000), "search": (1,)})[:1]
    assert line.startswith("growing gallery, exact: from 3,000 rows on")


def test_a_contender_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PACKAGES", {"FAISS, flat": "no_such_package"})
    assert measure.left_out({"search": (1,)}) == [
        "FAISS, flat: left out, install requirements-scale.txt to have it measured"
    ]
    monkeypatch.setattr(measure, "apart", lambda measured, contender, sizes: [{"contender": contender}])
    assert "FAISS, flat" not in set(measure.run({"search": (1,)}, rounds=1).contender)


@pytest.mark.slow
def test_everything_is_measured_and_written_down(artifacts: Path, monkeypatch) -> None:
    executed = {"cells": [], "metadata": {"seconds": 1.5}}
    (artifacts / "notebooks" / "more").mkdir(parents=True)
    (artifacts / "notebooks" / "more" / "a.ipynb").write_text(json.dumps(executed), "utf-8")
    (artifacts / "notebooks" / "before.ipynb").write_text(json.dumps(executed | {"metadata": {}}), "utf-8")
    monkeypatch.setattr(bench, "EVERYTHING", EVERYTHING)
    monkeypatch.setattr(measure, "keep_encoders", lambda: None)
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(sys, "argv", ["bench", "all"])
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
    assert content["ratios"].keys() == measure.RATIOS.keys() and all(content["ratios"].values())
    assert content["notebooks"] == {"more/a": 1.5}
    for row in content["rows"]:
        assert 0 < row["least"] <= row["seconds"] <= row["most"] and row["memory_mb"] > 10
    assert {row["what"].split(":")[0] for row in content["rows"]} == set(EVERYTHING)
    assert {row["size"] for row in content["rows"] if row["what"] == "extraction: this project, int8"} == {
        *EVERYTHING["extraction"]
    }
    assert (artifacts / "figures" / "bench.png").stat().st_size > 10_000


def test_the_headline_is_what_the_ratios_need() -> None:
    assert {measured for measured, *_ in measure.RATIOS.values()} == set(measure.HEADLINE)


def test_all_searchers_find_the_same_and_the_tree_is_asked_less(monkeypatch) -> None:
    gallery, queries = (np.random.default_rng(seed).random((100, 4), np.float32) for seed in (0, 1))
    monkeypatch.setattr(contenders, "TREE_DISTANCES", 2_500)
    found = {
        name: searcher(gallery, queries)()
        for name, searcher in contenders.SEARCHERS.items()
        if measure.PACKAGES.get(name) is None or find_spec(measure.PACKAGES[name])
    }
    assert found.pop("matrix product").shape == (100, 0)
    assert found["KD-tree"].shape == (25, contenders.K)
    for name, positions in found.items():
        expected = found["exact"][::4] if name == "KD-tree" else found["exact"]
        np.testing.assert_array_equal(positions, expected, err_msg=name)


def test_mobilenetv2_is_kept_in_both_precisions(artifacts: Path, monkeypatch) -> None:
    settings = read_settings()
    store = open_store(settings)
    monkeypatch.setattr(contenders, "_mobilenetv2", lambda settings: siamese.siamese_cnn(seed=0))
    store.save("images.json", {})
    contenders.keep_encoders(store, settings)
    sizes = {precision: len(store.load(f"bench_{precision}.tflite")) for precision in PRECISIONS}
    assert sizes["int8"] < 0.5 * sizes["float32"]


def test_a_contender_that_fails_is_named(tmp_path: Path, monkeypatch) -> None:
    tiny.draw(tmp_path / "photos")
    for name, value in tiny.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RetrievalError, match=r"bench: search, exact: .*is missing"):
        list(measure.apart("search", "exact", [1]))
