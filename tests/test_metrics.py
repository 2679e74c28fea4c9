"""Metrics against values worked out by hand and against slow versions that are plainly right."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from retrieval import metrics
from retrieval.search import rank_blocks

# Relevance of full rankings: some rows of equal length, each with something relevant.
RELEVANT = st.integers(1, 30).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n).filter(any), min_size=1, max_size=5)
)


def slow_average_precision(row: list[bool]) -> float:
    precisions = [sum(row[:rank]) / rank for rank in range(1, len(row) + 1) if row[rank - 1]]
    return sum(precisions) / len(precisions)


def slow_nmrr(row: list[bool], ng_max: int) -> float:
    ng = sum(row)
    k = min(4 * ng, 2 * ng_max)
    total = 0.0
    for rank, is_relevant in enumerate(row, start=1):
        if is_relevant:
            total += rank if rank <= k else 1.25 * k
    return (total / ng - 0.5 * (1 + ng)) / (1.25 * k - 0.5 * (1 + ng))


def a_ranking(length: int, *ranks: int) -> np.ndarray:
    """Relevant at these ranks, counted from 1."""
    return np.isin(np.arange(1, length + 1), ranks)[np.newaxis]


@given(RELEVANT, st.integers(1, 30))
def test_precision_is_that_of_the_slow_version(rows, k):
    k = min(k, len(rows[0]))
    expected = [sum(row[:k]) / k for row in rows]
    np.testing.assert_allclose(metrics.precision_at(np.array(rows), k), expected)


@given(RELEVANT)
def test_average_precision_is_that_of_the_slow_version(rows):
    expected = [slow_average_precision(row) for row in rows]
    np.testing.assert_allclose(metrics.average_precision(np.array(rows)), expected)


@given(RELEVANT, st.integers(0, 20))
def test_nmrr_is_that_of_the_slow_version(rows, more):
    ng_max = max(map(sum, rows)) + more
    values = metrics.nmrr(np.array(rows), ng_max=ng_max)
    np.testing.assert_allclose(values, [slow_nmrr(row, ng_max) for row in rows], atol=1e-12)
    assert (values >= 0).all() and (values <= 1).all()


def test_a_perfect_ranking() -> None:
    relevant = a_ranking(40, 1, 2, 3)
    assert metrics.average_precision(relevant) == 1
    assert metrics.nmrr(relevant, ng_max=7) == 0


def test_nothing_found() -> None:
    assert metrics.nmrr(a_ranking(40, 13, 14, 40), ng_max=7) == 1  # K = min(12, 14)
    assert metrics.nmrr(a_ranking(40, 12, 14, 40), ng_max=7) < 1
    assert metrics.nmrr(a_ranking(40, 7, 8, 40), ng_max=3) == 1  # K = min(12, 6)


@pytest.mark.parametrize(("rank", "expected"), [(1, 0), (2, 1 / 4), (4, 3 / 4), (5, 1), (9, 1)])
def test_nmrr_of_a_category_of_one(rank: int, expected: float) -> None:
    assert metrics.nmrr(a_ranking(9, rank), ng_max=2) == pytest.approx(expected)  # (rank - 1) / (5 - 1)


def test_what_is_undefined_is_refused() -> None:
    nothing = np.array([[True, False], [False, False]])
    with pytest.raises(ValueError, match="1 queries have no relevant image, the first at row 1"):
        metrics.average_precision(nothing)
    with pytest.raises(ValueError, match="no relevant image"):
        metrics.nmrr(nothing, ng_max=1)
    with pytest.raises(ValueError, match="more than ng_max=1"):
        metrics.nmrr(a_ranking(5, 1, 2), ng_max=1)
    for k in (0, 3):
        with pytest.raises(ValueError, match=f"precision@{k} of 2"):
            metrics.precision_at(nothing, k)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_evaluate_is_that_of_the_slow_versions_whatever_the_blocks(seed, block):
    rng = np.random.default_rng(seed)
    index = rng.choice(["ant", "bee", "cicada"], 25, p=[0.6, 0.3, 0.1])
    queries = rng.choice(np.unique(index), 7)
    rankings = np.array([rng.permutation(25) for _ in queries])
    blocks = (rankings[start : start + block] for start in range(0, 7, block))
    scores = metrics.evaluate(blocks, index, queries)

    rows = [[index[i] == query for i in ranking] for query, ranking in zip(queries, rankings, strict=True)]
    ng_max = max(map(sum, rows))
    np.testing.assert_allclose(scores.nmrr, [slow_nmrr(row, ng_max) for row in rows], atol=1e-12)
    np.testing.assert_allclose(scores.average_precision, [slow_average_precision(row) for row in rows])
    for k in (1, 3, 10):
        np.testing.assert_allclose(scores.precision[k], [sum(row[:k]) / k for row in rows])
    assert scores.accuracy == pytest.approx(sum(sum(row[:3]) for row in rows) / 21)
    assert (scores.map, scores.anmrr) == (scores.average_precision.mean(), scores.nmrr.mean())


def test_neither_the_order_of_the_index_nor_the_scale_of_features_matters() -> None:
    rng = np.random.default_rng(3)
    index, queries = rng.normal(size=(60, 8)), rng.normal(size=(9, 8))
    categories, queried = rng.choice(["ant", "bee"], 60), rng.choice(["ant", "bee"], 9)
    order = rng.permutation(60)
    before = metrics.evaluate(rank_blocks(index, queries), categories, queried)
    shuffled = metrics.evaluate(rank_blocks(index[order], queries, block=4), categories[order], queried)
    scaled = metrics.evaluate(rank_blocks(3.7 * index, 3.7 * queries), categories, queried)
    for after in (shuffled, scaled):
        np.testing.assert_array_equal(after.average_precision, before.average_precision)
        np.testing.assert_array_equal(after.nmrr, before.nmrr)


@pytest.mark.parametrize("shape", [(1, 10), (3, 10), (2, 9)])
def test_rankings_that_do_not_fit_are_refused(shape: tuple[int, int]) -> None:
    ranking = np.tile(np.arange(shape[1]), (shape[0], 1))
    with pytest.raises(ValueError, match=r"rankings of|broadcast"):
        metrics.evaluate([ranking], np.repeat("a", 10), np.repeat("a", 2))


def test_category_report_by_hand() -> None:
    queried = np.array(["yak", "yak", "ant", "bee"])
    retrieved = np.array([["yak", "ant"], ["yak", "fox"], ["ant", "ant"], ["yak", "fox"]])
    report = metrics.category_report(queried, retrieved)
    expected = pd.DataFrame(
        {
            "precision": [2 / 3, 2 / 3, 0.0],
            "recall": [1.0, 1 / 2, 0.0],
            "f1": [4 / 5, 4 / 7, 0.0],
            "queries": [1, 2, 1],
        },
        index=pd.Index(["ant", "yak", "bee"], name="category"),
    )
    pd.testing.assert_frame_equal(report, expected, check_index_type=False, check_column_type=False)


def test_categories_of_equal_f1_are_ordered_by_name() -> None:
    names = np.array(["fox", "ant", "dog", "bee"])
    retrieved = np.array([["fox"], ["ant"], ["bee"], ["dog"]])
    assert metrics.category_report(names, retrieved).index.tolist() == ["ant", "fox", "bee", "dog"]


def test_confusion_counts_every_pair() -> None:
    queried = np.array(["yak", "bee", "yak"])
    retrieved = np.array([["yak", "ant"], ["yak", "yak"], ["ant", "ant"]])
    counts = metrics.confusion(queried, retrieved)
    assert counts.index.tolist() == ["bee", "yak"]
    assert counts.columns.tolist() == ["ant", "bee", "yak"]  # also bee, which was never retrieved
    assert counts.to_numpy().tolist() == [[0, 0, 2], [3, 0, 1]]


def test_bootstrap_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(5).choice([0, 1 / 3, 2 / 3, 1], 400, p=[0.1, 0.1, 0.2, 0.6])
    for confidence in (0.5, 0.95):
        theirs = bootstrap(
            (values,), np.mean, n_resamples=10_000, confidence_level=confidence, method="percentile"
        ).confidence_interval
        assert metrics.bootstrap_interval(values, confidence=confidence) == pytest.approx(theirs, abs=3e-3)


def test_bootstrap_interval_depends_on_nothing_but_values_and_seed() -> None:
    values = np.random.default_rng(5).random(50)
    assert metrics.bootstrap_interval(values, seed=1) == metrics.bootstrap_interval(values, seed=1)
    assert metrics.bootstrap_interval(values, seed=1) != metrics.bootstrap_interval(values, seed=2)


def test_bootstrap_interval_of_a_constant_is_a_point() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.bootstrap_interval(np.full(9, 0.3)) == pytest.approx((0.3, 0.3))


def test_the_search_modules_start_without_heavy_imports() -> None:
    code = "import sys; from retrieval import feedback, fusion, metrics, search; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(metrics.__file__).parents[1])},
    )
    assert not {"pandas", "sklearn", "tensorflow", "matplotlib"} & set(done.stdout.split())
