"""Simulated feedback against a slow loop over queries."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import fails
from scipy.stats import ortho_group

from retrieval.data.parts import Part
from retrieval.evaluation import simulation
from retrieval.search import feedback, neighbours

NOTHING = partial(feedback.rocchio, beta=0.0, gamma=0.0)


OTHER = partial(feedback.rocchio, alpha=0.3, beta=1.0, gamma=0.5)


def a_collection(seed: int, n: int = 70, n_queries: int = 9) -> tuple[np.ndarray, ...]:
    """Index features and categories, query features and categories: three clusters that overlap."""
    rng = np.random.default_rng(seed)
    categories, asked = rng.integers(0, 3, n), rng.integers(0, 3, n_queries)
    centres = rng.normal(size=(3, 4))
    index = centres[categories] + rng.normal(size=(n, 4))
    queries = centres[asked] + rng.normal(size=(n_queries, 4))
    return index, np.array(list("abc"))[categories], queries, np.array(list("abc"))[asked]


def simulate(index, categories, queries, asked, *, groups=None, **options) -> simulation.Rounds:
    """`simulation.simulate`, from arrays; without groups, every image is alone."""
    alone = np.arange(len(index)) if groups is None else groups
    gallery = Part(index, categories, np.arange(len(index)).astype(str), alone)
    asking = Part(queries, asked, np.arange(len(queries)).astype(str), np.arange(len(queries)))
    return simulation.simulate(gallery, asking, **options)


def slow_rounds(
    index, categories, groups, query, category, *, rounds: int, judged: int, method, mistakes
) -> list[list[float]]:
    """All `Rounds` of one query, `[rounds + 1, 4]`."""
    original = current = query
    seen, marks, scores = [], [], []

    def left(without: list[int]) -> list[int]:
        known = {groups[row] for row in without}
        return [row for row in range(len(index)) if groups[row] not in known]

    def ranking(of, without: list[int]) -> list[int]:
        return sorted(left(without), key=lambda row: math.dist(index[row], of))[:judged]

    def precision(rows: list[int]) -> float:
        return sum(categories[row] == category for row in rows) / judged

    for mistaken in mistakes:
        fresh = ranking(current, seen)
        perfect = sorted(left(seen), key=lambda row: categories[row] != category)[:judged]
        shown = ranking(current, []), fresh, ranking(original, seen), perfect
        scores.append([precision(rows) for rows in shown])
        for row, is_mistake in zip(fresh, mistaken, strict=True):
            seen.append(row)
            marks.append((categories[row] == category) != is_mistake)
        current = method(original, index[seen], np.array(marks))
    return scores


def assert_as_slow(
    found: simulation.Rounds, collection, *, groups=None, wrong=0.0, rounds: int, judged: int, method
):
    index, categories, queries, asked = collection
    groups = range(len(index)) if groups is None else groups
    mistakes = np.random.default_rng(0).random((rounds + 1, len(queries), judged)) < wrong
    slow = [
        slow_rounds(
            index,
            categories,
            groups,
            query,
            category,
            method=method,
            judged=judged,
            rounds=rounds,
            mistakes=each,
        )
        for query, category, each in zip(queries, asked, mistakes.transpose(1, 0, 2), strict=True)
    ]
    precision, residual, baseline, perfect = np.array(slow).transpose(2, 1, 0)
    np.testing.assert_allclose(found.precision, precision)
    np.testing.assert_allclose(found.residual, residual)
    np.testing.assert_allclose(found.baseline_residual, baseline)
    np.testing.assert_allclose(found.perfect, perfect)


def test_the_defaults_are_the_reported_ones():
    assert (feedback.ALPHA, feedback.BETA, feedback.GAMMA) == (1.0, 0.75, 0.15)
    collection = a_collection(0)
    by_name = partial(feedback.rocchio, alpha=1.0, beta=0.75, gamma=0.15)
    found = simulate(*collection, rounds=2, method=by_name)
    np.testing.assert_array_equal(simulate(*collection, rounds=2).precision, found.precision)


def test_reported_feedback_gives_the_figures_it_always_gave():
    rounds = simulate(*a_collection(11, n=120, n_queries=40), rounds=3)
    assert rounds.precision.sum(axis=1).round(1).tolist() == [35.8, 38.8, 39.4, 39.7]
    assert rounds.residual.sum(axis=1).round(1).tolist() == [35.8, 39.0, 37.1, 31.4]
    assert rounds.baseline_residual.sum(axis=1).round(1).tolist() == [35.8, 34.5, 28.7, 18.9]


@settings(max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 3),
    st.integers(1, 13),
    st.sampled_from([feedback.rocchio, OTHER]),
    st.sampled_from([0.0, 0.3]),
    st.booleans(),
)
def test_simulate_is_the_slow_loop(seed, rounds, judged, method, wrong, with_copies):
    index, *others = a_collection(seed, n=judged * (rounds + 1) + seed % 20)
    if with_copies:  # equal distances, also between categories
        index = index[np.random.default_rng(seed).integers(0, len(index), len(index))]
    collection = (index, *others)
    options = {"rounds": rounds, "judged": judged, "method": method, "wrong": wrong}
    found = simulate(*collection, **options)
    assert found.precision.shape == found.residual.shape == found.baseline_residual.shape == (rounds + 1, 9)
    assert_as_slow(found, collection, **options)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2), st.integers(1, 6), st.booleans())
def test_duplicates_of_judged_images_count_as_seen(seed, rounds, judged, with_copies):
    index, *others = a_collection(seed, n=90)
    groups = np.random.default_rng(seed).integers(0, 60, 90)
    if with_copies:  # equal distances, also between categories
        index = index[[np.flatnonzero(groups == group)[0] for group in groups]]
    options = {"rounds": rounds, "judged": judged, "groups": groups, "method": feedback.rocchio}
    found = simulate(index, *others, **options)
    assert_as_slow(found, (index, *others), **options)


def test_groups_of_one_change_nothing():
    collection = a_collection(8)
    alone = simulate(*collection, rounds=3, groups=np.arange(70)[::-1] * 7)
    np.testing.assert_array_equal(alone.residual, simulate(*collection, rounds=3).residual)


def test_judgements_are_wrong_by_seed_and_as_often_as_asked():
    collection, met = a_collection(9, n=90, n_queries=200), []

    def spy(query, judged, relevant):
        met.append(relevant)
        return query

    def wrongly(wrong: float, seed: int) -> np.ndarray:
        met.clear()
        simulate(*collection, rounds=2, judged=30, method=spy, wrong=wrong, seed=seed)
        return np.concatenate(met[200:])  # the judgements of both rounds

    truth, tenth = wrongly(0.0, 0), wrongly(0.1, 0)
    assert (truth != tenth).mean() == pytest.approx(0.1, abs=0.01)
    assert (truth != wrongly(1.0, 0)).all()
    np.testing.assert_array_equal(tenth, wrongly(0.1, 0))
    assert (tenth != wrongly(0.1, 1)).any()


def test_mistakes_change_what_is_learned_but_not_what_is_measured():
    collection = a_collection(10)
    truth = simulate(*collection, rounds=2, method=NOTHING)
    mistaken = simulate(*collection, rounds=2, method=NOTHING, wrong=0.5)
    np.testing.assert_array_equal(mistaken.residual, truth.residual)


def test_neither_a_rotation_nor_the_order_of_index_and_queries_matters():
    index, categories, queries, asked = a_collection(5)
    rng = np.random.default_rng(5)
    order, turn, rotation = (
        rng.permutation(len(index)),
        rng.permutation(len(queries)),
        ortho_group(4, 4).rvs(),
    )
    before = simulate(index, categories, queries, asked, rounds=3)
    after = simulate(
        (index @ rotation)[order], categories[order], (queries @ rotation)[turn], asked[turn], rounds=3
    )
    for name in ("precision", "residual", "baseline_residual"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name)[:, turn])


def test_simulate_until_the_index_is_used_up():
    collection = a_collection(3, n=30)
    found = simulate(*collection, rounds=2)
    assert_as_slow(found, collection, rounds=2, judged=10, method=feedback.rocchio)


def test_many_queries_are_each_as_if_alone(monkeypatch: pytest.MonkeyPatch):
    collection = a_collection(7, n_queries=300)
    index, categories, queries, asked = collection
    found = simulate(*collection, rounds=2)
    for name in ("INDEX_BLOCK", "QUERY_BLOCK"):
        monkeypatch.setattr(neighbours, name, 4)
    again = simulate(*collection, rounds=2)
    for name in ("precision", "residual", "baseline_residual"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    for row in (0, 150, 299):
        alone = simulate(index, categories, queries[[row]], asked[[row]], rounds=2)
        np.testing.assert_array_equal(alone.precision[:, 0], found.precision[:, row])
        np.testing.assert_array_equal(alone.residual[:, 0], found.residual[:, row])


def test_before_feedback_all_three_are_the_same():
    found = simulate(*a_collection(1), rounds=1)
    np.testing.assert_array_equal(found.precision[0], found.residual[0])
    np.testing.assert_array_equal(found.precision[0], found.baseline_residual[0])


def test_without_beta_and_gamma_nothing_changes():
    found = simulate(*a_collection(2), rounds=3, method=NOTHING)
    np.testing.assert_array_equal(found.precision, np.tile(found.precision[0], (4, 1)))
    np.testing.assert_array_equal(found.residual, found.baseline_residual)


def test_no_rounds_give_the_precision_before():
    found = simulate(*a_collection(4), rounds=0)
    assert found.precision.shape == (1, 9)


def test_feedback_finds_a_category_that_lies_in_two_places():
    # Six "a" lie right of the query and four "b" left of it; further out, "a" right and "c" left.
    rng = np.random.default_rng(0)
    centres = np.repeat([1.0, -1.0, 2.0, -2.0], [6, 4, 24, 24])
    index = np.stack([centres, np.zeros(58)], axis=1) + rng.normal(scale=0.05, size=(58, 2))
    categories = np.array(["a"] * 6 + ["b"] * 4 + ["a"] * 24 + ["c"] * 24)
    found = simulate(index, categories, np.zeros((1, 2)), np.array(["a"]))
    assert found.precision[:, 0].tolist() == [0.6, 1.0]
    assert found.residual[1, 0] == 1 > found.baseline_residual[1, 0]


@pytest.mark.parametrize(("rounds", "judged", "n"), [(1, 10, 19), (3, 10, 39), (0, 10, 9), (1, 30, 59)])
def test_too_small_an_index_is_an_error(rounds: int, judged: int, n: int):
    message = rf"^{rounds} rounds of {judged} need {n + 1} images, the gallery has {n}$"
    with pytest.raises(ValueError, match=message):
        simulate(*a_collection(0, n=n), rounds=rounds, judged=judged)
    simulate(*a_collection(0, n=n + 1), rounds=rounds, judged=judged)


def test_an_index_of_few_groups_is_too_small():
    collection, groups = a_collection(0, n=24), np.arange(24) // 2  # 12 pairs: 10 judged may take 20
    simulate(*collection, rounds=2, judged=4, groups=groups)
    with pytest.raises(ValueError, match=r"need 25 images, the gallery has 24$"):
        simulate(*collection, rounds=2, judged=5, groups=groups)


@pytest.mark.parametrize(("groups", "rounds", "judged"), [(4, 3, 1), (39, 3, 9), (80, 3, 10), (2, 1, 1)])
def test_as_many_are_judged_as_leave_as_many(groups: int, rounds: int, judged: int):
    """Even if the images judged are those with most copies."""
    numbers = np.repeat(np.arange(groups), 1 + np.arange(groups) % 3)
    index, categories, queries, asked = a_collection(0, n=len(numbers))
    gallery = Part(index, categories, numbers.astype(str), numbers)
    assert simulation.judgeable(gallery, rounds=rounds) == judged
    simulate(index, categories, queries, asked, groups=numbers, rounds=rounds, judged=judged)
    few = gallery.take(numbers < rounds)
    words = f"need {rounds + 1} images", f"there are {rounds}"
    fails(lambda: simulation.judgeable(few, rounds=rounds), *words)
