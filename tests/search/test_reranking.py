"""Re-ranking against a slow version that adds up one coordinate after another."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.features.normalising import l2_normalise
from retrieval.search import reranking


def unit_rows(seed: int, n: int, dim: int = 4) -> np.ndarray:
    return l2_normalise(np.random.default_rng(seed).normal(size=(n, dim)))


def slow_expanded(row, others, k: int, alpha: float) -> list[float]:
    similarity = [sum(a * b for a, b in zip(row, other, strict=True)) for other in others]
    best = sorted(range(len(others)), key=lambda position: -similarity[position])[:k]
    total = list(row)
    for position in best:
        weight = max(similarity[position], 0.0) ** alpha
        total = [value + weight * x for value, x in zip(total, others[position], strict=True)]
    length = sum(value**2 for value in total) ** 0.5
    return [value / length for value in total]


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([0.5, 1.0, 3.0]))
def test_query_expansion_is_the_slow_version(seed, k, alpha):
    index, queries = unit_rows(seed, 12), unit_rows(seed + 1, 3)
    expected = [slow_expanded(query.tolist(), index.tolist(), k, alpha) for query in queries]
    expanded = reranking.expand_queries(queries, index, k=k, alpha=alpha)
    assert expanded.dtype == np.float32
    np.testing.assert_allclose(expanded, expected, atol=1e-5)


def test_alpha_0_averages_whatever_the_similarity():
    index = np.array([[0.6, 0.8], [1.0, 0.0]])
    expanded = reranking.expand_queries(np.array([[1.0, 0.0]]), index, k=2, alpha=0)
    np.testing.assert_allclose(expanded, l2_normalise(np.array([[2.6, 0.8]])), atol=1e-6)


def test_an_opposite_neighbour_counts_for_nothing():
    opposite = np.array([[-1.0, 0.0], [-0.6, -0.8]])
    query = np.array([[1.0, 0.0]])
    np.testing.assert_array_equal(reranking.expand_queries(query, opposite, k=2, alpha=1), query)


def test_expansion_finds_what_is_near_the_neighbours_and_not_to_the_query():
    angles = np.radians([25, 30, 70, -65])
    index = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    query = np.array([[1.0, 0.0]])
    before, after = (index @ row[0] for row in (query, reranking.expand_queries(query, index, k=2, alpha=1)))
    assert before[3] > before[2]
    assert after[2] > after[3]


def test_more_neighbours_than_there_are_are_all_of_them():
    few, query = unit_rows(0, 3), unit_rows(1, 2)
    every = reranking.expand_queries(query, few, k=3, alpha=1)
    np.testing.assert_array_equal(reranking.expand_queries(query, few, k=4, alpha=1), every)
