"""Metrics against values worked out by hand and against slow versions that are plainly right."""

from __future__ import annotations

import warnings
from collections import Counter
from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, ortho_group

from retrieval.evaluation import intervals, metrics
from retrieval.search.neighbours import rank_blocks

# Relevance of full rankings: some rows of equal length, each with something relevant.
RELEVANT = st.integers(1, 30).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n).filter(any), min_size=1, max_size=5)
)


SEEDS = st.integers(0, 2**32 - 1)

# The categories of some queries, and of as many images retrieved for each.
CATEGORIES = st.sampled_from(["ant", "bee", "cat", "dog"])
RETRIEVED = st.tuples(st.integers(1, 6), st.integers(1, 4)).flatmap(
    lambda shape: st.tuples(
        st.lists(CATEGORIES, min_size=shape[0], max_size=shape[0]),
        st.lists(
            st.lists(CATEGORIES, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
        ),
    )
)


def slow_average_precision(row: list[bool]) -> float:
    precisions = [sum(row[:rank]) / rank for rank in range(1, len(row) + 1) if row[rank - 1]]
    return sum(precisions) / len(precisions)


def slow_r_precision(row: list[bool]) -> float:
    return sum(row[: sum(row)]) / sum(row)


def slow_average_precision_at_r(row: list[bool]) -> float:
    r = sum(row)
    return sum(sum(row[:rank]) / rank for rank in range(1, r + 1) if row[rank - 1]) / r


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


def a_collection(seed: int, n_queries: int = 9) -> tuple[np.ndarray, ...]:
    """Features and categories of an index of 40 and of queries: three clusters that overlap."""
    rng = np.random.default_rng(seed)
    codes = np.append(np.arange(3), rng.integers(0, 3, 37 + n_queries))
    features = rng.normal(size=(3, 5))[codes] + rng.normal(size=(len(codes), 5))
    categories = np.array(["ant", "bee", "cat"])[codes]
    return features[:40], categories[:40], features[40:], categories[40:]


def searched(
    index: np.ndarray, categories: np.ndarray, queries: np.ndarray, queried: np.ndarray
) -> np.ndarray:
    """Precision at 1, 3 and 10, average precision, R-precision, AP@R and NMRR, `[7, n_queries]`."""
    return by_query(metrics.evaluate(rank_blocks(index, queries), categories, queried))


def by_query(scores: metrics.Scores) -> np.ndarray:
    at_r = scores.r_precision, scores.average_precision_at_r
    return np.stack([*scores.precision.values(), scores.average_precision, *at_r, scores.nmrr])


@given(RELEVANT, st.integers(1, 30))
def test_precision_is_that_of_the_slow_version(rows, k):
    k = min(k, len(rows[0]))
    expected = [sum(row[:k]) / k for row in rows]
    np.testing.assert_allclose(metrics.precision_at(np.array(rows), k), expected)


@given(RELEVANT)
def test_average_precision_is_that_of_the_slow_version(rows):
    expected = [slow_average_precision(row) for row in rows]
    np.testing.assert_allclose(metrics.average_precision(np.array(rows)), expected)


@given(RELEVANT)
def test_r_precision_and_map_at_r_are_those_of_the_slow_versions(rows):
    precision, at_r = metrics.r_precision(np.array(rows)), metrics.average_precision_at_r(np.array(rows))
    np.testing.assert_allclose(precision, [*map(slow_r_precision, rows)])
    np.testing.assert_allclose(at_r, [*map(slow_average_precision_at_r, rows)])
    assert (at_r <= precision + 1e-12).all()
    assert (at_r <= metrics.average_precision(np.array(rows)) + 1e-12).all()


@given(RELEVANT, st.integers(0, 20))
def test_nmrr_is_that_of_the_slow_version(rows, more):
    ng_max = max(map(sum, rows)) + more
    values = metrics.nmrr(np.array(rows), ng_max=ng_max)
    np.testing.assert_allclose(values, [slow_nmrr(row, ng_max) for row in rows], atol=1e-12)
    assert (values >= 0).all() and (values <= 1).all()


def test_average_precision_by_hand() -> None:
    assert metrics.average_precision(a_ranking(40, 1, 2, 3)) == 1
    assert metrics.average_precision(a_ranking(40, 40)) == pytest.approx(1 / 40)
    assert metrics.average_precision(a_ranking(9, 2, 3, 9)) == pytest.approx((1 / 2 + 2 / 3 + 3 / 9) / 3)


@pytest.mark.parametrize(
    ("ranks", "precision", "at_r"),
    [
        ([1], 1, 1),
        ([2], 0, 0),
        ([1, 2, 3], 1, 1),
        ([1, 4, 5], 1 / 3, 1 / 3),
        ([3, 4, 5], 1 / 3, 1 / 3 / 3),  # the worst place for one of three
        ([2, 3, 9], 2 / 3, (1 / 2 + 2 / 3) / 3),
        ([1, 3, 9], 2 / 3, (1 / 1 + 2 / 3) / 3),
        ([38, 39, 40], 0, 0),
        # R = 10: the first alone, the first two, the first and the tenth.
        ([1, *range(20, 29)], 1 / 10, 1 / 10),
        ([1, 2, *range(20, 28)], 2 / 10, 2 / 10),
        ([1, 10, *range(20, 28)], 2 / 10, (1 + 2 / 10) / 10),
    ],
)
def test_r_precision_and_map_at_r_by_hand(ranks: list[int], precision: float, at_r: float) -> None:
    ranking = a_ranking(40, *ranks)
    assert metrics.r_precision(ranking) == pytest.approx(precision)
    assert metrics.average_precision_at_r(ranking) == pytest.approx(at_r)


@pytest.mark.parametrize(
    ("ranks", "ng_max", "expected"),
    [
        # NG = 1, so (AVR - 1) / (1.25 K - 1); K = min(4, 4) = 4, and 1.25 K = 5.
        ([1], 2, 0),
        ([2], 2, 1 / 4),
        ([4], 2, 3 / 4),  # at K
        ([5], 2, 1),  # at K + 1, counted as 5
        ([40], 2, 1),  # likewise
        # All categories of one image: K = min(4, 2) = 2, and 1.25 K = 2.5.
        ([2], 1, 2 / 3),
        ([3], 1, 1),
        # NG = 2, so (AVR - 1.5) / (1.25 K - 1.5); K = min(8, 20) = 8, and 1.25 K = 10.
        ([1, 2], 10, 0),
        ([1, 8], 10, (4.5 - 1.5) / 8.5),  # at K
        ([1, 9], 10, (5.5 - 1.5) / 8.5),  # at K + 1, counted as 10: AVR = (1 + 10) / 2
        ([9, 10], 10, 1),
        # The same ranks, but the largest category has 3: K = min(8, 6) = 6, and 1.25 K = 7.5.
        ([1, 2], 3, 0),
        ([1, 6], 3, (3.5 - 1.5) / 6),  # at K
        ([1, 7], 3, (4.25 - 1.5) / 6),  # at K + 1, counted as 7.5: AVR = (1 + 7.5) / 2
        ([1, 8], 3, (4.25 - 1.5) / 6),
        ([7, 8], 3, 1),
        # NG = 3, so (AVR - 2) / (1.25 K - 2); found partly, K = min(12, 14) = 12, and 1.25 K = 15.
        ([2, 5, 12], 7, (19 / 3 - 2) / 13),
        ([2, 5, 13], 7, (22 / 3 - 2) / 13),
        ([12, 14, 40], 7, (14 - 2) / 13),
        ([13, 14, 40], 7, 1),
        # NG is ng_max, as in categories of one size: K = 2 NG = 6, and 1.25 K = 7.5.
        ([4, 5, 6], 3, (5 - 2) / 5.5),
        ([4, 5, 7], 3, (5.5 - 2) / 5.5),
    ],
)
def test_nmrr_by_hand(ranks: list[int], ng_max: int, expected: float) -> None:
    assert metrics.nmrr(a_ranking(40, *ranks), ng_max=ng_max) == pytest.approx(expected)


def test_anmrr_of_categories_of_different_size_by_hand() -> None:
    """One "a" and three "b" in the index, so that ng_max is 3 and K = 4 for "a" and 6 for "b"."""
    categories, queried = np.array(list("abbbcccccc")), np.array(["a", "b"])
    rankings = np.array([[9, 8, 7, 0, 1, 2, 3, 4, 5, 6], [1, 2, 9, 8, 7, 6, 3, 0, 4, 5]])
    scores = metrics.evaluate([rankings], categories, queried)
    # Rank 4 of K = 4: (4 - 1) / (5 - 1). Ranks 1, 2 and 7, counted as 7.5: (3.5 - 2) / (7.5 - 2).
    assert scores.nmrr == pytest.approx([3 / 4, 3 / 11])
    assert scores.anmrr == pytest.approx((3 / 4 + 3 / 11) / 2)
    # Alone, "a" is of the largest category: K = 2, and rank 4 is no longer found.
    assert metrics.evaluate([rankings[:1]], categories, queried[:1]).nmrr == 1


def test_what_is_undefined_is_refused() -> None:
    nothing = np.array([[True, False], [False, False]])
    with pytest.raises(ValueError, match=r"^1 queries have no relevant image, the first at row 1$"):
        metrics.average_precision(nothing)
    for undefined in (metrics.r_precision, metrics.average_precision_at_r):
        with pytest.raises(ValueError, match="no relevant image"):
            undefined(nothing)
    with pytest.raises(ValueError, match="no relevant image"):
        metrics.nmrr(nothing, ng_max=1)
    with pytest.raises(ValueError, match=r"^a query has 2 relevant images, more than ng_max=1$"):
        metrics.nmrr(a_ranking(5, 1, 2), ng_max=1)
    for k in (0, 3):
        with pytest.raises(ValueError, match=f"^P@{k} of 2 retrieved images is undefined$"):
            metrics.precision_at(nothing, k)


@settings(max_examples=30)
@given(SEEDS, st.integers(3, 25), st.integers(1, 7))
def test_evaluate_is_that_of_the_slow_versions_whatever_the_blocks(seed, n, block):
    rng = np.random.default_rng(seed)
    index = rng.choice(["ant", "bee", "cicada"], n, p=[0.6, 0.3, 0.1])
    queries = rng.choice(np.unique(index), 7)
    rankings = np.array([rng.permutation(n) for _ in queries])
    blocks = (rankings[start : start + block] for start in range(0, 7, block))
    scores = metrics.evaluate(blocks, index, queries)

    rows = [[index[i] == query for i in ranking] for query, ranking in zip(queries, rankings, strict=True)]
    ng_max = max(map(sum, rows))
    np.testing.assert_allclose(scores.nmrr, [slow_nmrr(row, ng_max) for row in rows], atol=1e-12)
    np.testing.assert_allclose(scores.average_precision, [slow_average_precision(row) for row in rows])
    np.testing.assert_allclose(scores.r_precision, [*map(slow_r_precision, rows)])
    np.testing.assert_allclose(scores.average_precision_at_r, [*map(slow_average_precision_at_r, rows)])
    assert scores.map_at_r == scores.average_precision_at_r.mean()
    assert scores.precision.keys() == {1, 3, 10}
    for k, precision in scores.precision.items():
        np.testing.assert_allclose(precision, [sum(row[:k]) / min(k, n) for row in rows])
    assert scores.accuracy == pytest.approx(sum(sum(row[:3]) for row in rows) / 21)
    assert (scores.map, scores.anmrr) == (scores.average_precision.mean(), scores.nmrr.mean())


@settings(max_examples=20)
@given(SEEDS)
def test_the_order_of_index_and_queries_does_not_matter(seed):
    index, categories, queries, queried = a_collection(seed)
    rng = np.random.default_rng(seed)
    order, turn = rng.permutation(len(index)), rng.permutation(len(queries))
    rankings = rank_blocks(index[order], queries[turn])
    shuffled = by_query(metrics.evaluate(rankings, categories[order], queried[turn]))
    np.testing.assert_array_equal(shuffled, searched(index, categories, queries, queried)[:, turn])


MOTIONS = {
    "scaled": lambda rows: 3.7 * rows,
    "shifted": lambda rows: rows + 11.3,
    "rotated": lambda rows: rows @ ortho_group(rows.shape[1], seed=4).rvs(),
}


@pytest.mark.parametrize("moved", MOTIONS.values(), ids=MOTIONS)
@settings(max_examples=10)
@given(seed=SEEDS)
def test_scaling_shifting_and_rotating_all_features_change_nothing(moved, seed):
    index, categories, queries, queried = a_collection(seed)
    before = searched(index, categories, queries, queried)
    np.testing.assert_array_equal(searched(moved(index), categories, moved(queries), queried), before)


@settings(max_examples=20)
@given(SEEDS)
def test_a_copy_of_the_query_in_the_index_comes_first_and_adds_to_ng(seed):
    index, categories, queries, queried = a_collection(seed, n_queries=1)
    row = categories[next(rank_blocks(index, queries))[0]] == queried
    with_copy = np.append(index, queries, axis=0), np.append(categories, queried)
    p1, _, _, ap, _, _, nmrr = searched(*with_copy, queries, queried)
    assert p1 == 1
    # The i-th relevant of before, at rank r, is now the (i + 1)-th, at rank r + 1.
    ranks = np.flatnonzero(row) + 1
    later = [(i + 1) / (rank + 1) for i, rank in enumerate(ranks, start=1)]
    assert ap == pytest.approx((1 + sum(later)) / (len(ranks) + 1))
    assert ap >= metrics.average_precision(row[np.newaxis])
    assert nmrr == pytest.approx(slow_nmrr([True, *row], len(ranks) + 1), abs=1e-12)


@settings(max_examples=20)
@given(SEEDS)
def test_irrelevant_images_behind_all_others_count_only_where_they_widen_k(seed):
    index, categories, queries, queried = a_collection(seed)
    queried[0] = "ant"
    before = searched(index, categories, queries, queried)
    behind = np.append(index, index + 1000, axis=0)
    unasked = np.append(categories, np.repeat("dog", len(index)))
    np.testing.assert_array_equal(searched(behind, unasked, queries, queried), before)

    # Of a category that is asked for, they make it the largest: K is 4 NG for the others.
    asked = np.append(categories, np.repeat("ant", len(index)))
    after, others = searched(behind, asked, queries, queried), queried != "ant"
    np.testing.assert_array_equal(after[:-1, others], before[:-1, others])
    relevant = categories[np.concatenate(list(rank_blocks(index, queries)))] == queried[:, np.newaxis]
    wider = [slow_nmrr(row, len(asked)) for row in relevant[others].tolist()]
    np.testing.assert_allclose(after[-1, others], wider, atol=1e-12)


def test_equal_distances_count_in_the_order_of_positions() -> None:
    copies = np.zeros((4, 2))
    p1, p3, _, ap, rp, at_r, nmrr = searched(copies, np.array(list("baba")), copies[:1], np.array(["a"]))
    assert (p1, p3, ap) == (0, pytest.approx(1 / 3), (1 / 2 + 2 / 4) / 2)
    assert (rp, at_r) == (1 / 2, 1 / 2 / 2)  # R = 2, rank 2
    assert nmrr == pytest.approx((3 - 1.5) / (5 - 1.5))  # ranks 2 and 4, K = 4


@settings(max_examples=20)
@given(SEEDS, st.permutations(["ant", "bee", "cat", "emu", "fox"]))
def test_the_names_of_categories_do_not_matter(seed, names):
    index, categories, queries, queried = a_collection(seed)
    rename = np.vectorize(dict(zip(["ant", "bee", "cat"], names, strict=False)).get)
    before = searched(index, categories, queries, queried)
    np.testing.assert_array_equal(searched(index, rename(categories), queries, rename(queried)), before)

    retrieved = categories[next(rank_blocks(index, queries))][:, :3]
    report = metrics.category_report(queried, retrieved)
    renamed = metrics.category_report(rename(queried), rename(retrieved))
    np.testing.assert_array_equal(renamed.loc[rename(report.index)], report)
    counts = metrics.confusion(queried, retrieved)
    recounted = metrics.confusion(rename(queried), rename(retrieved))
    np.testing.assert_array_equal(recounted.loc[rename(counts.index), rename(counts.columns)], counts)


@pytest.mark.parametrize("queried", ["ant", "zebra"])
def test_a_category_that_is_not_in_the_index_is_refused(queried: str) -> None:
    with pytest.raises(ValueError, match="1 queries have no relevant image"):
        metrics.evaluate([np.arange(3)[np.newaxis]], np.repeat("bee", 3), np.array([queried]))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 10), "^rankings of 1 queries, not of 2$"),
        ((2, 9), "^rankings of 9 images, not of 10$"),
        ((3, 10), "broadcast"),
    ],
)
def test_rankings_that_do_not_fit_are_refused(shape: tuple[int, int], message: str) -> None:
    ranking = np.tile(np.arange(shape[1]), (shape[0], 1))
    with pytest.raises(ValueError, match=message):
        metrics.evaluate([ranking], np.repeat("a", 10), np.repeat("a", 2))


@pytest.mark.filterwarnings("error")
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


@settings(max_examples=60)
@given(RETRIEVED)
def test_category_report_is_that_of_the_slow_version(pairs):
    queried, retrieved = pairs
    report = metrics.category_report(np.array(queried), np.array(retrieved))
    rows = []
    for name in set(queried):
        asked = [got for query, got in zip(queried, retrieved, strict=True) if query == name]
        right, of_it = sum(got.count(name) for got in asked), sum(got.count(name) for got in retrieved)
        pairs_of_it = sum(map(len, asked))
        f1 = Fraction(2 * right, of_it + pairs_of_it)
        rows.append((-f1, name, right / max(of_it, 1), right / pairs_of_it, len(asked)))
    expected = [(name, precision, recall, -f1, n) for f1, name, precision, recall, n in sorted(rows)]
    assert report.columns.tolist() == ["precision", "recall", "f1", "queries"]
    assert report.index.name == "category"
    assert report.index.tolist() == [name for name, *_ in expected]
    np.testing.assert_allclose(report, [[float(value) for value in values] for _, *values in expected])


@settings(max_examples=60)
@given(RETRIEVED)
def test_confusion_is_that_of_the_slow_version(pairs):
    queried, retrieved = pairs
    counts = metrics.confusion(np.array(queried), np.array(retrieved))
    assert counts.index.tolist() == sorted(set(queried))
    assert counts.columns.tolist() == sorted(set(queried).union(*retrieved))
    assert (counts.index.name, counts.columns.name) == ("query", "retrieved")
    tally = Counter((query, name) for query, got in zip(queried, retrieved, strict=True) for name in got)
    for query in counts.index:
        assert counts.loc[query].to_dict() == {name: tally[query, name] for name in counts.columns}


def test_bootstrap_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(5).choice([0, 1 / 3, 2 / 3, 1], 400, p=[0.1, 0.1, 0.2, 0.6])
    for confidence in (0.5, 0.95):
        theirs = bootstrap(
            (values,), np.mean, confidence_level=confidence, method="percentile", random_state=1
        ).confidence_interval
        assert intervals.bootstrap_interval(values, confidence=confidence) == pytest.approx(theirs, abs=3e-3)


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=4), min_size=1, max_size=4),
    st.sampled_from([0.5, 0.9]),
    st.randoms(use_true_random=False),
)
def test_bootstrap_interval_is_that_of_all_resamples_of_the_groups(groups, confidence, random):
    queries = [(number, value) for number, group in enumerate(groups) for value in group]
    random.shuffle(queries)
    numbers, values = np.transpose(queries)
    interval = intervals.bootstrap_interval(values, groups=numbers, confidence=confidence)
    means = sorted(np.concatenate(drawn).mean() for drawn in product(groups, repeat=len(groups)))
    for end, share in zip(interval, ((1 - confidence) / 2, (1 + confidence) / 2), strict=True):
        # 10,000 resamples meet a share of all to well within 0.03: their standard deviation is 0.005 at most.
        least, most = np.quantile(means, [share - 0.03, share + 0.03], method="inverted_cdf")
        assert least - 1e-9 <= end <= most + 1e-9


def test_bootstrap_interval_covers_the_truth_only_if_it_knows_the_groups() -> None:
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(100):
        groups = np.repeat(np.arange(60), rng.integers(1, 6, 60))
        values = rng.normal(size=60)[groups] + 0.3 * rng.normal(size=len(groups))  # of mean zero
        found = (intervals.bootstrap_interval(values, groups=known) for known in (groups, None))
        covered.append([low <= 0 <= high for low, high in found])
    knowing, unknowing = np.mean(covered, axis=0)
    assert 0.91 <= knowing <= 0.98 and unknowing <= 0.85  # of 95 %


def test_copies_of_queries_do_not_narrow_the_interval_of_their_groups() -> None:
    values, groups = np.random.default_rng(5).random((2, 80))
    groups = (12 * groups).astype(int)
    alone = intervals.bootstrap_interval(values)
    by_group = intervals.bootstrap_interval(values, groups=groups)
    assert intervals.bootstrap_interval(values, groups=np.arange(80)) == alone
    order = np.random.default_rng(6).permutation(240)
    copies, copied = np.repeat(values, 3)[order], np.repeat(groups, 3)[order]
    originals = np.repeat(np.arange(80), 3)[order]
    assert intervals.bootstrap_interval(copies, groups=originals) == pytest.approx(alone)
    assert intervals.bootstrap_interval(copies, groups=10 * copied - 7) == pytest.approx(by_group)
    narrow = np.ptp(intervals.bootstrap_interval(copies))
    assert narrow == pytest.approx(np.ptp(alone) / np.sqrt(3), rel=0.05)


def test_bootstrap_interval_depends_on_nothing_but_values_groups_and_seed() -> None:
    values = np.random.default_rng(5).random(50)
    assert intervals.bootstrap_interval(values, seed=1) == intervals.bootstrap_interval(values, seed=1)
    assert intervals.bootstrap_interval(values, seed=1) != intervals.bootstrap_interval(values, seed=2)
    assert intervals.bootstrap_interval(values) == intervals.bootstrap_interval(values, seed=0)


def test_an_interval_that_ends_at_zero_includes_it() -> None:
    thirds = np.array([1 / 3, 2 / 3, -1 / 3, -2 / 3])
    for seed in range(20):
        values = np.random.default_rng(seed).choice(thirds, 12, p=[0.4, 0.3, 0.2, 0.1])
        assert all(end == 0 or abs(end) > 1e-3 for end in intervals.bootstrap_interval(values))


def test_bootstrap_interval_of_a_constant_is_a_point() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert intervals.bootstrap_interval(np.full(9, 0.3)) == pytest.approx((0.3, 0.3))
        in_groups = intervals.bootstrap_interval(np.full(9, 0.3), groups=np.arange(9) // 4)
        assert in_groups == pytest.approx((0.3, 0.3))


def test_groups_that_do_not_fit_the_values_are_refused() -> None:
    with pytest.raises(ValueError, match="same length"):
        intervals.bootstrap_interval(np.ones(3), groups=np.zeros(2, int))


def test_two_methods_swap_their_verdicts() -> None:
    first, second = np.random.default_rng(5).random((2, 60))
    difference, groups = first + 0.3 - second, np.arange(60) // 3
    low, high = intervals.bootstrap_interval(difference, groups=groups)
    assert intervals.bootstrap_interval(-difference, groups=groups) == pytest.approx((-high, -low))
    assert (intervals.verdict((low, high)), intervals.verdict((-high, -low))) == ("better", "worse")


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
    assert intervals.verdict(interval) == of_precision
    assert intervals.verdict(interval, higher_is_better=False) == of_nmrr


def test_confusion_shares_leave_out_what_is_rare_in_every_row() -> None:
    counts = pd.DataFrame(
        {"cat": [90, 2, 0], "dog": [10, 97, 5], "yak": [0, 1, 95]}, index=["cat", "dog", "yak"]
    )
    shares = metrics.confusion_shares(counts, ["dog", "cat"])
    assert shares.index.tolist() == ["dog", "cat"] and shares.columns.tolist() == ["cat", "dog"]
    np.testing.assert_allclose(shares, [[0.02, 0.97], [0.9, 0.1]])
