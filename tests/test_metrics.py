"""Metrics against values worked out by hand and against slow versions that are plainly right."""

from __future__ import annotations

import subprocess
import sys
import warnings
from itertools import product
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
            (values,), np.mean, confidence_level=confidence, method="percentile", random_state=1
        ).confidence_interval
        assert metrics.bootstrap_interval(values, confidence=confidence) == pytest.approx(theirs, abs=3e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=4), min_size=1, max_size=4),
    st.sampled_from([0.5, 0.9]),
    st.randoms(use_true_random=False),
)
def test_bootstrap_interval_is_that_of_all_resamples_of_the_groups(groups, confidence, random):
    queries = [(number, value) for number, group in enumerate(groups) for value in group]
    random.shuffle(queries)
    numbers, values = np.transpose(queries)
    interval = metrics.bootstrap_interval(values, groups=numbers, confidence=confidence)
    means = sorted(np.concatenate(drawn).mean() for drawn in product(groups, repeat=len(groups)))
    for end, share in zip(interval, ((1 - confidence) / 2, (1 + confidence) / 2), strict=True):
        # 10,000 resamples meet a share of all to well within 0.03: their standard deviation is 0.005 at most.
        least, most = np.quantile(means, [share - 0.03, share + 0.03], method="inverted_cdf")
        assert least - 1e-9 <= end <= most + 1e-9


def test_bootstrap_interval_covers_the_truth_only_if_it_knows_the_groups() -> None:
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(150):
        groups = np.repeat(np.arange(60), rng.integers(1, 6, 60))
        values = rng.normal(size=60)[groups] + 0.3 * rng.normal(size=len(groups))  # of mean zero
        intervals = (metrics.bootstrap_interval(values, groups=known) for known in (groups, None))
        covered.append([low <= 0 <= high for low, high in intervals])
    knowing, unknowing = np.mean(covered, axis=0)
    assert 0.91 <= knowing <= 0.98 and unknowing <= 0.85  # of 95 %


def test_copies_of_queries_do_not_narrow_the_interval_of_their_groups() -> None:
    values, groups = np.random.default_rng(5).random((2, 80))
    groups = (12 * groups).astype(int)
    alone = metrics.bootstrap_interval(values)
    by_group = metrics.bootstrap_interval(values, groups=groups)
    assert metrics.bootstrap_interval(values, groups=np.arange(80)) == alone
    order = np.random.default_rng(6).permutation(240)
    copies, copied = np.repeat(values, 3)[order], np.repeat(groups, 3)[order]
    originals = np.repeat(np.arange(80), 3)[order]
    assert metrics.bootstrap_interval(copies, groups=originals) == pytest.approx(alone)
    assert metrics.bootstrap_interval(copies, groups=10 * copied - 7) == pytest.approx(by_group)
    narrow = np.ptp(metrics.bootstrap_interval(copies))
    assert narrow == pytest.approx(np.ptp(alone) / np.sqrt(3), rel=0.05)


def test_bootstrap_interval_depends_on_nothing_but_values_groups_and_seed() -> None:
    values = np.random.default_rng(5).random(50)
    assert metrics.bootstrap_interval(values, seed=1) == metrics.bootstrap_interval(values, seed=1)
    assert metrics.bootstrap_interval(values, seed=1) != metrics.bootstrap_interval(values, seed=2)


def test_bootstrap_interval_of_a_constant_is_a_point() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.bootstrap_interval(np.full(9, 0.3)) == pytest.approx((0.3, 0.3))
        in_groups = metrics.bootstrap_interval(np.full(9, 0.3), groups=np.arange(9) // 4)
        assert in_groups == pytest.approx((0.3, 0.3))


def test_groups_that_do_not_fit_the_values_are_refused() -> None:
    with pytest.raises(ValueError, match="same length"):
        metrics.bootstrap_interval(np.ones(3), groups=np.zeros(2, int))


def test_two_methods_swap_their_verdicts() -> None:
    first, second = np.random.default_rng(5).random((2, 60))
    difference, groups = first + 0.3 - second, np.arange(60) // 3
    low, high = metrics.bootstrap_interval(difference, groups=groups)
    assert metrics.bootstrap_interval(-difference, groups=groups) == pytest.approx((-high, -low))
    assert (metrics.verdict((low, high)), metrics.verdict((-high, -low))) == ("better", "worse")


@pytest.mark.parametrize(
    ("interval", "of_precision", "of_nmrr"),
    [
        ((1e-9, 0.1), "better", "worse"),
        ((-0.1, -1e-9), "worse", "better"),
        ((-0.1, 0.1), "no difference", "no difference"),
        ((0.0, 0.1), "no difference", "no difference"),
        ((-0.1, 0.0), "no difference", "no difference"),
        ((0.0, 0.0), "no difference", "no difference"),
    ],
)
def test_the_verdict_on_a_difference(interval, of_precision: str, of_nmrr: str) -> None:
    assert metrics.verdict(interval) == of_precision
    assert metrics.verdict(interval, higher_is_better=False) == of_nmrr


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
