"""Results beside the reported figures, and never beside those of other images."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from retrieval.artifacts.store import Store
from retrieval.data.parts import Part
from retrieval.evaluation import results as report
from retrieval.evaluation.metrics import Scores
from retrieval.evaluation.scoring import query_table
from retrieval.evaluation.simulation import Rounds
from retrieval.settings import PROJECT

REPORTED = report.load_reported()
# 0.874 -+ 1.96 standard errors of 1,000 queries.
LOW, HIGH = 0.8534, 0.8946


@cache
def a_result(*, accuracy: float = 0.874, comparable: bool = True) -> dict:
    names = ["red_panda", "polar_bear", "otter", "yak", "sea_lion", "<seal>"]
    figures = np.linspace(0.99, 0.5, len(names))
    categories = pd.DataFrame(
        {"precision": figures, "recall": figures, "f1": figures, "queries": 60},
        index=pd.Index(names, name="category"),
    )
    hits = (np.arange(1000) < accuracy * 1000).astype(float)
    others = (np.full(1000, figure) for figure in (0.516, 0.385, 0.5, 0.4))
    scores = Scores({1: hits, 3: hits, 10: hits}, *others)
    files, rows = np.array([f"yak/{row}.jpg" for row in range(1000)]), np.arange(1000)
    queries = query_table(scores, Part(np.zeros((1000, 1)), np.full(1000, "yak"), files, rows))
    data = {"name": "mammals", "images": 13751, "categories": 45, "sha256": "0", "comparable": comparable}
    with TemporaryDirectory() as folder:
        store = Store(Path(folder), {"seed": 0, "split": "grouped", "epochs": None, "precision": "float32"})
        for part, images in (("train", 8000), ("test", 1000)):
            store.save(f"{part}_index_file.json", {str(row): "" for row in range(images)})
            store.save(f"mobilenetv2_{part}.npy", np.zeros((1, 1), np.float32))
        store.save("dataset.json", data)
        store.save("weights.json", {"name": "ImageNet's", "sha256": "0"})
        return report.keep(store, "mobilenetv2", report.Measured(queries, categories, (0.6, 0.55, 0.7)))


def test_a_result_is_plain_json_with_every_key() -> None:
    values = a_result()
    assert json.loads(json.dumps(values)) == values
    assert values["accuracy"] == values["precision_at"]["3"] == 0.874
    assert (values["r_precision"], values["map_at_r"]) == pytest.approx((0.5, 0.4))
    assert (values["worst_f1"], values["worst_f1_interval"]) == (0.6, [0.55, 0.7])
    low, high = values["accuracy_interval"]
    assert 0.84 < low < 0.874 < high < 0.91
    assert [row["category"] for row in values["best_categories"]][:2] == ["red_panda", "polar_bear"]
    assert [row["category"] for row in values["worst_categories"]][:2] == ["<seal>", "sea_lion"]
    assert set(values["worst_categories"][0]) == {"category", "precision", "recall", "f1"}
    assert (values["queries"], values["seed"], values["weights"]["name"]) == (1000, 0, "ImageNet's")


def test_the_summary_sets_ours_beside_theirs() -> None:
    results = {
        "fused_weighted": a_result(accuracy=0.88),
        "mobilenetv2": a_result(),
        "siamese_cnn": a_result(),
    }
    table = report.summary(results, REPORTED)
    assert list(table.index) == ["MobileNetV2", "Siamese CNN", "fused weighted"]
    np.testing.assert_allclose(
        table.loc["MobileNetV2", report.ACCURACY], [0.862, 0.874, LOW, HIGH, 0.012], atol=0.003
    )
    np.testing.assert_allclose(table.loc["MobileNetV2", report.ANMRR], [0.39, 0.385, 0.385, 0.385, -0.005])
    weighted = table.loc["fused weighted", report.ACCURACY]
    assert weighted.isna()[["reported", "difference"]].all() and np.isclose(weighted["reproduced"], 0.88)


def test_the_figures_of_metric_learning_are_those_of_the_results() -> None:
    table = report.field_figures({"my_own": a_result(), "mobilenetv2": a_result(accuracy=0.5)})
    assert list(table.index) == ["MobileNetV2", "my own"]
    assert list(table.columns) == ["Recall@1", "R-precision", "MAP@R", "mAP"]
    np.testing.assert_allclose(table, [[0.5, 0.5, 0.4, 0.516], [0.874, 0.5, 0.4, 0.516]])


def test_other_images_are_never_set_beside_the_reported_figures() -> None:
    results = {"mobilenetv2": a_result(), "fused": a_result(comparable=False)}
    columns = report.summary(results, REPORTED).columns.get_level_values(1)
    assert set(columns) == {"measured", "low", "high"}
    assert report.caption(results).endswith("no comparison")


def test_the_caption_says_what_the_figures_belong_to() -> None:
    line = "mammals: 13751 images, 45 categories; grouped split, seed 0; ImageNet's"
    assert report.caption({"mobilenetv2": a_result()}) == line
    assert report.caption({"mobilenetv2": a_result() | {"epochs": 2}}) == f"{line}; EPOCHS=2"


def test_a_method_of_ones_own_comes_last_under_its_name() -> None:
    results = {"my_own": a_result(), "expanded": a_result(), "mobilenetv2": a_result()}
    table = report.summary(results, REPORTED)
    assert list(table.index) == ["MobileNetV2", "three encoders, LDA, expanded", "my own"]


def test_methods_that_are_others_under_another_name_are_named() -> None:
    plain = {"fused_weighted": a_result() | {"weight": 0.4}, "expanded": a_result() | {"k": 5}}
    assert report.remarks(plain) == report.remarks({"mobilenetv2": a_result()}) == []
    for weight, alone in ((0.0, "Siamese MobileNetV2"), (1.0, "MobileNetV2")):
        (line,) = report.remarks({"fused_weighted": a_result() | {"weight": weight}})
        assert line.startswith(f"Fused weighted is {alone} alone")
    other = a_result() | {"weight": 0, "parts": ["mobilenetv2", "custom"]}
    assert report.remarks({"fused_weighted": other})[0].startswith("Fused weighted is custom encoder alone")
    assert report.remarks({"expanded": a_result() | {"k": 0}}) == [
        "three encoders, LDA, expanded is three encoders, LDA: validation chose no expansion"
    ]


def test_text_rounds_and_signs() -> None:
    results = {"mobilenetv2": a_result(), "fused_weighted": a_result()}
    first, second = report.rounded(report.summary(results, REPORTED)).to_string().splitlines()[-2:]
    ends = ["0.853", "0.894"]
    assert first.split() == [
        *("MobileNetV2", "0.862", "0.874", *ends, "+0.012"),
        *("0.390", "0.385", "0.385", "0.385", "-0.005"),
    ]
    assert second.split() == ["fused", "weighted", "0.874", *ends, "0.385", "0.385", "0.385"]


def test_shown_pairs_measures_those_that_are_there() -> None:
    vectors = {
        "seal/seal-0184.jpg": np.zeros(2),
        "seal/seal-0207.jpg": np.array([9.0, 12.0]),
        "seal/seal-0267.jpg": np.zeros(2),
    }
    pairs = report.shown_pairs(REPORTED, vectors)
    assert pairs[["query", "retrieved"]].values.tolist() == [["seal/seal-0184.jpg", "seal/seal-0207.jpg"]]
    np.testing.assert_allclose(pairs[["reported", "measured", "difference"]], [[14.55, 15, 0.45]])
    assert len(report.shown_pairs(REPORTED, {})) == 0


def run(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "retrieval.commands.table"],
        cwd=PROJECT / "notebooks",
        env={"ARTIFACTS": str(folder)},
        capture_output=True,
        text=True,
    )


def test_the_command_prints_what_there_is_and_names_what_is_not(tmp_path: Path) -> None:
    store = Store(tmp_path, {})
    store.save("results/mobilenetv2.json", a_result())
    store.save("results/feedback.json", {"queries": 1})
    store.save("results/of_an_earlier_version.json", {"accuracy": 0.5})
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "0.874" in done.stdout and "MAP@R" in done.stdout
    assert "results/siamese_cnn.json is missing: run notebook 04" in done.stdout
    assert "feedback" not in done.stdout and "earlier" not in done.stdout


def test_without_results_one_line_says_what_to_run(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == f"{tmp_path.name}/dataset.json is missing: run notebook 01_split or `make`\n"


@pytest.mark.parametrize("method", [name for name, method in report.METHODS.items() if method.original])
def test_every_method_has_reported_figures(method: str) -> None:
    assert 0 < REPORTED["methods"][method]["accuracy"] < 1
    assert 0 < REPORTED["methods"][method]["anmrr"] < 1


def test_feedback_is_kept_with_what_it_belongs_to(tmp_path: Path) -> None:
    store = Store(tmp_path, {"seed": 0, "split": "grouped", "epochs": None, "precision": "float32"})
    for part in ("train", "val", "test"):
        store.save(f"{part}_index_file.json", {"0": "", "1": ""})
        store.save(f"mobilenetv2_{part}.npy", np.zeros((2, 1), np.float32))
    store.save("dataset.json", {"name": "mammals"})
    store.save("weights.json", {"name": "ImageNet's"})
    store.save("results/mobilenetv2.json", {"worst_categories": [{"category": "seal", "f1": 0.5}]})
    before_and_after = np.array([[0.5, 0.1], [0.7, 0.3]])
    simulated = Rounds(before_and_after + 0.1, before_and_after, before_and_after - 0.1, np.ones((2, 2)))
    kept = report.keep_feedback(store, "mobilenetv2", simulated, np.array([False, True]), judged=10)
    assert store.load("results/feedback.json") == kept
    assert kept["weakest_categories"] == ["seal"]
    assert kept["precision"] == pytest.approx([0.4, 0.6])
    assert kept["residual_precision"] == pytest.approx([0.3, 0.5])
    assert kept["residual_precision_without"] == pytest.approx([0.2, 0.4])
    assert kept["weakest_residual"] == pytest.approx([0.1, 0.3])
    assert (kept["queries"], kept["judged_per_round"], kept["data"]) == (2, 10, {"name": "mammals"})


def test_agreement_with_the_slides_is_said_only_of_files_that_are_there() -> None:
    pairs = pd.DataFrame({"reported": [10.0, 20.0], "difference": [1.0, -1.0]})
    assert report.agreement(pairs) == "Mean difference over 2 pairs: 7.5%."
    assert report.agreement(pairs[:0]).startswith("These are not the photographs")
