"""Relevance feedback: a query moves towards what was judged relevant and away from the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrieval.metrics import precision_at
from retrieval.search import nearest

ALPHA, BETA, GAMMA = 1.0, 0.75, 0.15  # weights of the query, the relevant and the irrelevant images


@dataclass(frozen=True)
class Rounds:
    """Precision of every query after every round, each float64 `[rounds + 1, n_queries]`.

    Measured on as many of the nearest images as a round judges. Row t uses the query moved t times;
    row 0 is before any feedback.

    Attributes:
        precision: over the whole index. It counts images judged before, which a moved query brings
            back.
        residual: without the images judged before, over the residual collection.
        baseline_residual: the same of the original query, with the same images left out: what
            `residual` has to beat.
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
    """The query that Rocchio's formula makes of a judged result.

        alpha * query + beta * mean(relevant) - gamma * mean(irrelevant)

    A set without images contributes nothing (Rocchio, "Relevance feedback in information
    retrieval", in "The SMART Retrieval System", 1971; Manning, Raghavan and Schütze, "Introduction
    to Information Retrieval", 2008, section 9.1).

    Args:
        query: features `[dim]`.
        relevant: features `[r, dim]` of the images judged relevant.
        irrelevant: features `[s, dim]` of the others that were judged.
        alpha: weight of the query.
        beta: weight of the relevant images.
        gamma: weight of the irrelevant ones.

    Returns:
        Features `[dim]`.

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
    """Feedback from a user who judges as the categories say.

    Each round judges the best images that were not judged yet. The next query is Rocchio's formula
    of the original query and all images judged so far.

    Args:
        index: features `[n_index, dim]`.
        index_categories: `[n_index]`.
        queries: features `[n_queries, dim]`.
        query_categories: `[n_queries]`.
        rounds: how often the query is moved.
        judged: images that are judged in a round; also the cut-off of the precision.
        weights: alpha, beta and gamma of `rocchio`.

    Raises:
        ValueError: the index has too few images to judge and score in every round.
    """
    depth = judged * (rounds + 1)
    if depth > len(index):
        raise ValueError(f"{rounds} rounds of {judged} need {depth} images, the index has {len(index)}")
    original = ranking = nearest(index, queries, depth, method="exact")[1]
    seen = np.empty((len(queries), 0), np.int64)
    scores = []
    for _ in range(rounds + 1):
        if seen.size:
            relevant = is_relevant(seen, index_categories, query_categories)
            moved = _moved(index, queries, seen, relevant, weights)
            ranking = nearest(index, moved, depth, method="exact")[1]
        fresh = _without(ranking, seen)
        scored = (ranking, fresh, _without(original, seen))
        scores.append(
            [precision_at(is_relevant(p, index_categories, query_categories), judged) for p in scored]
        )
        seen = np.concatenate([seen, fresh[:, :judged]], axis=1)
    return Rounds(*np.stack(scores, axis=1))


def is_relevant(
    positions: np.ndarray, index_categories: np.ndarray, query_categories: np.ndarray
) -> np.ndarray:
    """Which of the retrieved images are of their query's category, boolean `[n_queries, k]`.

    >>> is_relevant(np.array([[0, 2]]), np.array(["cat", "cat", "dog"]), np.array(["cat"]))
    array([[ True, False]])
    """
    return index_categories[positions] == query_categories[:, np.newaxis]


def _moved(
    index: np.ndarray,
    queries: np.ndarray,
    seen: np.ndarray,
    relevant: np.ndarray,
    weights: tuple[float, float, float],
) -> np.ndarray:
    alpha, beta, gamma = weights
    return np.stack(
        [
            rocchio(query, index[found[right]], index[found[~right]], alpha=alpha, beta=beta, gamma=gamma)
            for query, found, right in zip(queries, seen, relevant, strict=True)
        ]
    )


def _without(ranking: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Each row of a ranking `[n, depth]` without what was seen `[n, s]`, cut to `[n, depth - s]`."""
    is_seen = (ranking[:, :, np.newaxis] == seen[:, np.newaxis]).any(axis=2)
    unseen_first = np.argsort(is_seen, axis=1, kind="stable")
    return np.take_along_axis(ranking, unseen_first, axis=1)[:, : ranking.shape[1] - seen.shape[1]]
