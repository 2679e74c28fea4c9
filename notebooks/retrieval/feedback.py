"""Relevance feedback: a query moved by what a person says of its results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

ALPHA, BETA, GAMMA = 1.0, 0.75, 0.15
BLOCK = 256  # queries that are handled together


@dataclass(frozen=True)
class Rounds:
    """Precision@10 after every round of feedback, float64 `[rounds + 1, n_queries]` in [0, 1].

    Attributes:
        precision: over the whole index, judged images included.
        residual: over the residual collection, all images judged so far taken out.
        baseline_residual: of the query without feedback, over the same residual collection.
    """

    precision: np.ndarray
    residual: np.ndarray
    baseline_residual: np.ndarray


def rocchio(
    query: np.ndarray,
    relevant: np.ndarray,
    irrelevant: np.ndarray,
    *,
    alpha: float = ALPHA,
    beta: float = BETA,
    gamma: float = GAMMA,
) -> np.ndarray:
    """The query moved towards the mean of what is relevant and away from that of what is not.

    alpha * query + beta * mean(relevant) - gamma * mean(irrelevant); an empty set adds nothing.
    Source: Rocchio, "Relevance feedback in information retrieval", 1971.

    Args:
        query: `[dim]`.
        relevant: features of the images judged relevant, `[r, dim]`, r may be 0.
        irrelevant: of those judged irrelevant, `[n, dim]`, n may be 0.
        alpha: weight of the query.
        beta: weight of the relevant ones.
        gamma: weight of the irrelevant ones.

    Returns:
        `[dim]`.

    >>> rocchio(np.array([1.0, 0.0]), np.array([[0.0, 1.0], [0.0, 3.0]]), np.array([[2.0, 0.0]]))
    array([0.7, 1.5])
    """
    moved = alpha * query
    if len(relevant):
        moved = moved + beta * relevant.mean(axis=0)
    if len(irrelevant):
        moved = moved - gamma * irrelevant.mean(axis=0)
    return moved


def simulate(
    index: np.ndarray,
    index_categories: np.ndarray,
    queries: np.ndarray,
    query_categories: np.ndarray,
    *,
    rounds: int = 1,
    judged: int = 10,
    weights: tuple[float, float, float] = (ALPHA, BETA, GAMMA),
) -> Rounds:
    """Feedback given from the labels, for every query, over several rounds.

    In each round the nearest images that have not been judged yet are judged, and the query becomes
    Rocchio's, from the original one and all images judged so far.

    Args:
        index: features `[n_index, dim]`.
        index_categories: `[n_index]`.
        queries: features `[n_queries, dim]`.
        query_categories: `[n_queries]`.
        rounds: how many.
        judged: images judged in each, and the cut-off of the precision.
        weights: alpha, beta and gamma.

    Raises:
        ValueError: the index has too few images for so many judgements.
    """
    if judged * (rounds + 1) > len(index):
        raise ValueError(f"{rounds} rounds of {judged} leave nothing of an index of {len(index)} to measure")
    squares = np.einsum("nd,nd->n", index, index)
    results = np.empty((3, rounds + 1, len(queries)))
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        relevant = index_categories == query_categories[block, np.newaxis]
        # Squared distances less the query's own squared length, which rank alike.
        distances = plain = squares - 2 * queries[block] @ index.T
        seen = np.zeros_like(relevant)
        for number in range(rounds + 1):
            left = np.where(seen, np.inf, distances)
            measured = (distances, left, np.where(seen, np.inf, plain))
            results[:, number, block] = [_precision(each, relevant, judged) for each in measured]
            np.put_along_axis(seen, _first(left, judged), True, axis=1)
            moved = _moved(queries[block], index, seen & relevant, seen & ~relevant, weights)
            distances = squares - 2 * moved @ index.T
    return Rounds(*results)


def _first(distances: np.ndarray, k: int) -> np.ndarray:
    return np.argpartition(distances, k - 1, axis=1)[:, :k]


def _precision(distances: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    return np.take_along_axis(relevant, _first(distances, k), axis=1).mean(axis=1)


def _moved(
    queries: np.ndarray,
    index: np.ndarray,
    relevant: np.ndarray,
    irrelevant: np.ndarray,
    weights: tuple[float, float, float],
) -> np.ndarray:
    """`rocchio` for many queries, their judged images given as bool `[n_queries, n_index]`."""
    alpha, beta, gamma = weights
    return alpha * queries + beta * _means(index, relevant) - gamma * _means(index, irrelevant)


def _means(index: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The mean of the chosen rows for every query, zero where there are none, `[n_queries, dim]`."""
    counts = np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    return (sparse.csr_array(chosen.astype(index.dtype)) @ index) / counts.astype(index.dtype)
