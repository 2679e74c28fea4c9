"""Rocchio, the linear classifier and the SVM, by hand and against slow versions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.features.normalising import l2_normalise
from retrieval.search import feedback
from retrieval.search.neighbours import nearest


def slow_mean(rows: list[list[float]], dim: int) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)] if rows else [0.0] * dim


def slow_split(judged, relevant) -> tuple[list[float], list[float]]:
    right = [row for row, good in zip(judged.tolist(), relevant, strict=True) if good]
    wrong = [row for row, good in zip(judged.tolist(), relevant, strict=True) if not good]
    return right, wrong


judgements = st.lists(st.tuples(*[st.integers(-9, 9)] * 3, st.booleans()), max_size=8).map(
    lambda rows: (
        np.array([row[:3] for row in rows], float).reshape(-1, 3),
        np.array([row[3] for row in rows], bool),
    )
)


@given(judgements, st.tuples(st.floats(0, 2), st.floats(0, 2), st.floats(0, 2)))
def test_rocchio_is_the_slow_version(judged_relevant, weights):
    query, (alpha, beta, gamma) = np.array([2.0, -4.0, 0.5]), weights
    right, wrong = (slow_mean(rows, 3) for rows in slow_split(*judged_relevant))
    moved = feedback.rocchio(query, *judged_relevant, alpha=alpha, beta=beta, gamma=gamma)
    expected = [alpha * q + beta * r - gamma * w for q, r, w in zip(query, right, wrong, strict=True)]
    np.testing.assert_allclose(moved, expected, atol=1e-12)


def test_rocchio_by_hand():
    query = np.array([2.0, 4.0])
    judged, relevant = np.array([[4.0, 0.0], [10.0, 0.0], [0.0, 8.0]]), np.array([True, False, True])
    # (2, 4) + 0.75 (2, 4) - 0.15 (10, 0)
    np.testing.assert_allclose(feedback.rocchio(query, judged, relevant), [2.0, 7.0])
    moved = feedback.rocchio(query, judged, relevant, alpha=2, beta=0.5, gamma=0.1)
    np.testing.assert_allclose(moved, [2 * 2 + 1 - 1, 8 + 2])


def test_an_empty_set_adds_nothing():
    query, rows = np.array([2.0, 4.0]), np.array([[4.0, 0.0], [0.0, 8.0]])
    np.testing.assert_allclose(feedback.rocchio(query, rows, np.array([True, True])), [3.5, 7.0])
    np.testing.assert_allclose(feedback.rocchio(query, rows, np.array([False, False])), [1.7, 3.4])
    np.testing.assert_allclose(feedback.rocchio(query, rows[:0], np.array([], bool)), query)
    np.testing.assert_array_equal(query, [2, 4])


@given(judgements, st.integers(0, 2**32 - 1), st.floats(0.1, 100))
def test_the_linear_classifier_is_the_slow_version(judged_relevant, seed, shrinkage):
    rng = np.random.default_rng(seed)
    index, query = rng.normal(size=(20, 3)), rng.normal(size=3)
    right, wrong = slow_split(*judged_relevant)
    positive, centre = slow_mean([query.tolist(), *right], 3), slow_mean(index.tolist(), 3)
    mistakes = slow_mean(wrong, 3) if wrong else centre
    difference = [p - 0.5 * c - 0.5 * m for p, c, m in zip(positive, centre, mistakes, strict=True)]
    covariance = sum(np.outer(row - centre, row - centre) for row in index) / 19
    # (I + C / (shrinkage v)) w = positive - negative
    w = feedback.linear_classifier(index, shrinkage=shrinkage)(query, *judged_relevant)
    np.testing.assert_allclose(w + covariance @ w * 3 / covariance.trace() / shrinkage, difference, atol=1e-9)


def test_the_linear_classifier_by_hand():
    index = np.array([[5.0, 1.0], [1.0, 1.0], [3.0, 2.0], [3.0, 0.0]])  # mean (3, 1), C = diag(8/3, 2/3)
    query, judged = np.array([9.0, 6.0]), np.array([[5.0, 4.0], [3.0, 9.0]])
    classify = feedback.linear_classifier(index, shrinkage=1.0)  # divides by 1 + 8/5 and 1 + 2/5
    # (7, 5) - half of (3, 1) and of (3, 9) = (4, 0); both relevant, (17, 19) / 3 - (3, 1) = (8, 16) / 3
    np.testing.assert_allclose(classify(query, judged, np.array([True, False])), [4 / 2.6, 0])
    both = classify(query, judged, np.array([True, True]))
    np.testing.assert_allclose(both, [8 / 3 / 2.6, 16 / 3 / 1.4])
    # much shrinkage leaves the difference of the means
    means = feedback.linear_classifier(index, shrinkage=1e9)(query, judged, np.array([True, False]))
    np.testing.assert_allclose(means, [4, 0], atol=1e-6)


def test_one_dimension_is_enough_for_the_linear_classifier():
    index, judged = np.array([[1.0], [1.0], [-1.0], [-1.0]]), np.array([[1.0], [-1.0]])  # as LDA leaves two
    moved = feedback.linear_classifier(index, shrinkage=1.0)(judged[0], judged, np.array([True, False]))
    np.testing.assert_allclose(moved, [(1 - 0.5 * -1) / 2])  # C = v


@pytest.mark.filterwarnings("error")
def test_a_gallery_of_equal_rows_leaves_the_difference_of_the_means():
    classify = feedback.linear_classifier(np.full((5, 3), 0.25))
    np.testing.assert_allclose(classify(np.ones(3), np.empty((0, 3)), np.array([], bool)), [0.75] * 3)


def test_at_unit_length_distance_to_a_point_ranks_as_its_inner_product():
    rng = np.random.default_rng(6)
    index, queries = (l2_normalise(rng.normal(size=(n, 4))) for n in (70, 9))
    classify = feedback.linear_classifier(index)
    weights = np.stack([classify(query, index[:9], np.arange(9) < 3) for query in queries])
    by_distance = nearest(index, weights, len(index), method="exact")[1]
    np.testing.assert_array_equal(by_distance, np.argsort(-weights @ index.T, axis=1, kind="stable"))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_svm_separates_what_is_relevant_from_the_rest_and_from_the_gallery(count: int):
    rng = np.random.default_rng(count)
    index = l2_normalise(rng.normal(size=(40, 5)) - [4, 0, 0, 0, 0])
    relevant = np.arange(6) < count
    side = np.where(relevant, 4, -4)[:, np.newaxis]
    judged = l2_normalise(rng.normal(size=(6, 5)) + side * np.eye(5)[0])
    query = np.eye(5)[0]
    point = feedback.support_vector_machine(index, c=10.0, negatives=30)(query, judged, relevant)
    assert point.dtype == np.float64 and point.shape == (5,)
    ahead = [query @ point, *(judged[relevant] @ point)]
    assert min(ahead) > max(*(judged[~relevant] @ point), *(index @ point))
    again = feedback.support_vector_machine(index, c=10.0, negatives=30)(query, judged, relevant)
    np.testing.assert_array_equal(again, point)


def test_a_weaker_svm_has_shorter_weights_and_other_negatives_others():
    index = l2_normalise(np.random.default_rng(0).normal(size=(40, 5)))
    asked = index[0], index[1:5], np.array([True, False, True, False])
    points = [
        feedback.support_vector_machine(index, **options)(*asked)
        for options in ({"c": 0.1}, {"c": 10.0}, {"negatives": 10}, {"negatives": 10, "seed": 1})
    ]
    assert np.linalg.norm(points[0]) < np.linalg.norm(points[1])
    assert np.abs(points[2] - points[3]).max() > 1e-3
