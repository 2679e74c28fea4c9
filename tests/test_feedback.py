"""Feedback: Rocchio's formula by hand, and the simulation against a slow loop over queries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import ortho_group

from retrieval import feedback

NONE = np.empty((0, 2))
BEFORE = (1.0, 0.0, 0.0)  # weights with which nothing is learned


def a_collection(seed: int, n: int = 70, n_queries: int = 9) -> tuple[np.ndarray, ...]:
    """Index features and categories, query features and categories: three clusters that overlap."""
    rng = np.random.default_rng(seed)
    categories, asked = rng.integers(0, 3, n), rng.integers(0, 3, n_queries)
    centres = rng.normal(size=(3, 4))
    index = centres[categories] + rng.normal(size=(n, 4))
    queries = centres[asked] + rng.normal(size=(n_queries, 4))
    return index, np.array(list("abc"))[categories], queries, np.array(list("abc"))[asked]


def slow_mean(rows: list[list[float]], dim: int) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)] if rows else [0.0] * dim


def slow_rounds(
    index, categories, query, category, *, rounds: int, judged: int, weights
) -> list[list[float]]:
    """Precision, residual and baseline residual of one query after every round, `[rounds + 1, 3]`."""
    index, original, current = index.tolist(), query.tolist(), query.tolist()
    seen, scores = [], []

    def ranking(of: list[float], without: list[int]) -> list[int]:
        left = [row for row in range(len(index)) if row not in without]
        return sorted(left, key=lambda row: math.dist(index[row], of))

    def precision(rows: list[int], k: int) -> float:
        return sum(categories[row] == category for row in rows[:k]) / k

    for _ in range(rounds + 1):
        scores.append(
            [
                precision(ranking(current, []), judged),
                precision(ranking(current, seen), judged),
                precision(ranking(original, seen), judged),
            ]
        )
        seen = seen + ranking(current, seen)[:judged]
        right = slow_mean([index[row] for row in seen if categories[row] == category], len(original))
        wrong = slow_mean([index[row] for row in seen if categories[row] != category], len(original))
        current = [
            weights[0] * q + weights[1] * r - weights[2] * w
            for q, r, w in zip(original, right, wrong, strict=True)
        ]
    return scores


def assert_as_slow(found: feedback.Rounds, collection, **options):
    index, categories, queries, asked = collection
    slow = [
        slow_rounds(index, categories, query, category, **options)
        for query, category in zip(queries, asked, strict=True)
    ]
    precision, residual, baseline = np.array(slow).transpose(2, 1, 0)
    np.testing.assert_allclose(found.precision, precision)
    np.testing.assert_allclose(found.residual, residual)
    np.testing.assert_allclose(found.baseline_residual, baseline)


@given(
    hnp.arrays(float, st.tuples(st.integers(0, 5), st.just(3)), elements=st.integers(-9, 9)),
    hnp.arrays(float, st.tuples(st.integers(0, 5), st.just(3)), elements=st.integers(-9, 9)),
    st.tuples(st.floats(0, 2), st.floats(0, 2), st.floats(0, 2)),
)
def test_rocchio_is_the_slow_version(relevant, irrelevant, weights):
    query, (alpha, beta, gamma) = np.array([2.0, -4.0, 0.5]), weights
    right, wrong = slow_mean(relevant.tolist(), 3), slow_mean(irrelevant.tolist(), 3)
    moved = feedback.rocchio(query, relevant, irrelevant, alpha=alpha, beta=beta, gamma=gamma)
    expected = [alpha * q + beta * r - gamma * w for q, r, w in zip(query, right, wrong, strict=True)]
    np.testing.assert_allclose(moved, expected, atol=1e-12)


def test_rocchio_by_hand():
    query, relevant, irrelevant = (
        np.array([2.0, 4.0]),
        np.array([[4.0, 0.0], [0.0, 8.0]]),
        np.array([[10.0, 0.0]]),
    )
    # (2, 4) + 0.75 (2, 4) - 0.15 (10, 0)
    np.testing.assert_allclose(feedback.rocchio(query, relevant, irrelevant), [2.0, 7.0])
    moved = feedback.rocchio(query, relevant, irrelevant, alpha=2, beta=0.5, gamma=0.1)
    np.testing.assert_allclose(moved, [2 * 2 + 1 - 1, 8 + 2])


def test_an_empty_set_adds_nothing():
    query, rows = np.array([2.0, 4.0]), np.array([[4.0, 0.0], [0.0, 8.0]])
    np.testing.assert_allclose(feedback.rocchio(query, rows, NONE), [3.5, 7.0])
    np.testing.assert_allclose(feedback.rocchio(query, NONE, rows), [1.7, 3.4])
    np.testing.assert_allclose(feedback.rocchio(query, NONE, NONE), query)
    np.testing.assert_array_equal(query, [2, 4])


def test_the_defaults_are_the_reported_ones():
    assert (feedback.ALPHA, feedback.BETA, feedback.GAMMA) == (1.0, 0.75, 0.15)
    collection = a_collection(0)
    by_name = feedback.simulate(*collection, rounds=2, weights=(1.0, 0.75, 0.15))
    np.testing.assert_array_equal(feedback.simulate(*collection, rounds=2).precision, by_name.precision)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 3),
    st.integers(1, 13),
    st.sampled_from([(1.0, 0.75, 0.15), (0.3, 1.0, 0.5)]),
    st.booleans(),
)
def test_simulate_is_the_slow_loop(seed, rounds, judged, weights, with_copies):
    index, *others = a_collection(seed, n=judged * (rounds + 1) + seed % 20)
    if with_copies:  # equal distances, also between categories
        index = index[np.random.default_rng(seed).integers(0, len(index), len(index))]
    found = feedback.simulate(index, *others, rounds=rounds, judged=judged, weights=weights)
    assert found.precision.shape == found.residual.shape == found.baseline_residual.shape == (rounds + 1, 9)
    assert_as_slow(found, (index, *others), rounds=rounds, judged=judged, weights=weights)


def test_neither_a_rotation_nor_the_order_of_index_and_queries_matters():
    index, categories, queries, asked = a_collection(5)
    rng = np.random.default_rng(5)
    order, turn, rotation = (
        rng.permutation(len(index)),
        rng.permutation(len(queries)),
        ortho_group(4, 4).rvs(),
    )
    before = feedback.simulate(index, categories, queries, asked, rounds=3)
    after = feedback.simulate(
        (index @ rotation)[order], categories[order], (queries @ rotation)[turn], asked[turn], rounds=3
    )
    for name in ("precision", "residual", "baseline_residual"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name)[:, turn])


def test_simulate_until_the_index_is_used_up():
    collection = a_collection(3, n=30)
    found = feedback.simulate(*collection, rounds=2)
    assert_as_slow(found, collection, rounds=2, judged=10, weights=(1.0, 0.75, 0.15))


def test_many_queries_are_each_as_if_alone(monkeypatch: pytest.MonkeyPatch):
    collection = a_collection(7, n_queries=300)
    index, categories, queries, asked = collection
    found = feedback.simulate(*collection, rounds=2)
    for name in [name for name in vars(feedback) if name.endswith("BLOCK")]:
        monkeypatch.setattr(feedback, name, 4)
    again = feedback.simulate(*collection, rounds=2)
    for name in ("precision", "residual", "baseline_residual"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    for row in (0, 150, 299):
        alone = feedback.simulate(index, categories, queries[[row]], asked[[row]], rounds=2)
        np.testing.assert_array_equal(alone.precision[:, 0], found.precision[:, row])
        np.testing.assert_array_equal(alone.residual[:, 0], found.residual[:, row])


def test_before_feedback_all_three_are_the_same():
    found = feedback.simulate(*a_collection(1), rounds=1)
    np.testing.assert_array_equal(found.precision[0], found.residual[0])
    np.testing.assert_array_equal(found.precision[0], found.baseline_residual[0])


def test_without_beta_and_gamma_nothing_changes():
    found = feedback.simulate(*a_collection(2), rounds=3, weights=BEFORE)
    np.testing.assert_array_equal(found.precision, np.tile(found.precision[0], (4, 1)))
    np.testing.assert_array_equal(found.residual, found.baseline_residual)


def test_no_rounds_give_the_precision_before():
    found = feedback.simulate(*a_collection(4), rounds=0)
    assert found.precision.shape == (1, 9)


def test_feedback_finds_a_category_that_lies_in_two_places():
    # Six "a" lie right of the query and four "b" left of it; further out, "a" right and "c" left.
    rng = np.random.default_rng(0)
    centres = np.repeat([1.0, -1.0, 2.0, -2.0], [6, 4, 24, 24])
    index = np.stack([centres, np.zeros(58)], axis=1) + rng.normal(scale=0.05, size=(58, 2))
    categories = np.array(["a"] * 6 + ["b"] * 4 + ["a"] * 24 + ["c"] * 24)
    found = feedback.simulate(index, categories, np.zeros((1, 2)), np.array(["a"]))
    assert found.precision[:, 0].tolist() == [0.6, 1.0]
    assert found.residual[1, 0] == 1 > found.baseline_residual[1, 0]


@pytest.mark.parametrize(("rounds", "judged", "n"), [(1, 10, 19), (3, 10, 39), (0, 10, 9), (1, 30, 59)])
def test_too_small_an_index_is_an_error(rounds: int, judged: int, n: int):
    message = rf"^{rounds} rounds of {judged} need {n + 1} images, the index has {n}$"
    with pytest.raises(ValueError, match=message):
        feedback.simulate(*a_collection(0, n=n), rounds=rounds, judged=judged)
    feedback.simulate(*a_collection(0, n=n + 1), rounds=rounds, judged=judged)
