"""Relevance feedback: what a person judged relevant, and what not, changes the next ranking.

A method is a function of a query `[dim]`, the features of the judged images `[s, dim]` and which of
them were judged relevant, boolean `[s]`. It returns a point `[dim]`: the index is ranked by Euclidean
distance to it. With features of unit length that is the order of the inner product with the point, so
that the weights of a linear classifier are such a point as well as a moved query is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retrieval.metrics import precision_at
from retrieval.progress import passing_bar
from retrieval.search import nearest

ALPHA, BETA, GAMMA = 1.0, 0.75, 0.15  # weights of the query, the relevant and the irrelevant images

Method = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Rounds:
    """Precision of every query after every round, each float64 `[rounds + 1, n_queries]`.

    Measured on as many of the nearest images as a round judges. Row t uses the query moved t times;
    row 0 is before any feedback.

    Attributes:
        precision: over the whole index. It counts images judged before, which a moved query brings
            back.
        residual: without the images judged before and their duplicates, over the residual collection.
        baseline_residual: the same of the original query, with the same images left out: what
            `residual` has to beat.
    """

    precision: np.ndarray
    residual: np.ndarray
    baseline_residual: np.ndarray


def rocchio(
    query: np.ndarray,
    judged: np.ndarray,
    relevant: np.ndarray,
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
        judged: features `[s, dim]` of the images that were judged.
        relevant: which of them were judged relevant, boolean `[s]`.
        alpha: weight of the query.
        beta: weight of the relevant images.
        gamma: weight of the irrelevant ones.

    Returns:
        Features `[dim]`.

    >>> judged = np.array([[0.0, 1.0], [0.0, 3.0], [2.0, 0.0]])
    >>> rocchio(np.array([1.0, 0.0]), judged, np.array([True, True, False]))
    array([0.7, 1.5])
    """
    moved = alpha * query
    if relevant.any():
        moved = moved + beta * judged[relevant].mean(axis=0)
    if not relevant.all():
        moved = moved - gamma * judged[~relevant].mean(axis=0)
    return moved


def discriminant(index: np.ndarray, *, shrinkage: float = 10.0) -> Method:
    """A linear classifier of the judged images, for features of unit length.

        w = (I + C / (shrinkage * v))^-1 (positive - negative)

    This is Fisher's linear discriminant. Its covariance C is that of the whole index, of which v is the
    mean variance: a few judged images have no covariance to speak of. `positive` is the mean of the
    query and of what was judged relevant. `negative` is half the mean of what was judged irrelevant, half
    that of the index: mistakes are all near the query, and a classifier of nothing else would not know
    the rest of the index from what was asked for. Without mistakes it is the mean of the index
    (Hariharan, Malik and Ramanan, "Discriminative decorrelation for clustering and classification",
    ECCV 2012).

    Args:
        index: features `[n_index, dim]`; their categories play no part.
        shrinkage: above 0. The larger, the less is made of the covariance; in the end, w is the
            difference of the means.

    Returns:
        A method. Its points are weights w, float64 `[dim]`.

    >>> index = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # C = diag(8/3, 2/3)
    >>> classify = discriminant(index, shrinkage=1.0)
    >>> classify(np.array([2.6, 0.4]), np.array([[0.0, -2.0]]), np.array([False])).round(6)
    array([1., 1.])
    """
    centre, covariance = index.mean(axis=0, dtype=np.float64), np.cov(index, rowvar=False, dtype=np.float64)
    scale = shrinkage * covariance.trace() / len(covariance)
    decorrelate = np.linalg.inv(np.eye(len(covariance)) + covariance / scale)

    def classify(query: np.ndarray, judged: np.ndarray, relevant: np.ndarray) -> np.ndarray:
        positive, negative = np.vstack([query, judged[relevant]]).mean(axis=0), centre
        if not relevant.all():
            negative = (centre + judged[~relevant].mean(axis=0)) / 2
        return decorrelate @ (positive - negative)

    return classify


def simulate(
    index: np.ndarray,
    index_categories: np.ndarray,
    queries: np.ndarray,
    query_categories: np.ndarray,
    *,
    method: Method = rocchio,
    rounds: int = 1,
    judged: int = 10,
    groups: np.ndarray | None = None,
    wrong: float = 0.0,
    seed: int = 0,
) -> Rounds:
    """Feedback from a user who judges as the categories say, but for mistakes.

    Each round judges the best images that were not judged yet. The next query is what the method
    makes of the original query and all images judged so far.

    Args:
        index: features `[n_index, dim]`.
        index_categories: `[n_index]`.
        queries: features `[n_queries, dim]`.
        query_categories: `[n_queries]`.
        method: what moves the queries.
        rounds: how often the query is moved.
        judged: images that are judged in a round; also the cut-off of the precision.
        groups: integers `[n_index]`, the same for images that are duplicates of each other: judging
            one is judging all. None takes every image by itself.
        wrong: the chance in [0, 1] that a judgement is the opposite of what the categories say.
            What is measured goes by the categories all the same.
        seed: of the wrong judgements. Methods compared with one seed meet the same ones, as to
            round, query and rank.

    Raises:
        ValueError: the index may have too few images to judge and score in every round.
    """
    groups = np.arange(len(index)) if groups is None else groups
    depth = judged + np.sort(np.unique(groups, return_counts=True)[1])[::-1][: rounds * judged].sum()
    if depth > len(index):
        raise ValueError(f"{rounds} rounds of {judged} need {depth} images, the index has {len(index)}")
    original = ranking = nearest(index, queries, depth, method="exact")[1]
    mistakes = np.random.default_rng(seed).random((rounds + 1, len(queries), judged)) < wrong
    seen, marked = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), bool)
    scores = []
    for mistaken in passing_bar(mistakes, "judging", unit="round"):
        if seen.size:
            judgements = zip(queries, seen, marked, strict=True)
            moved = np.stack([method(query, index[found], right) for query, found, right in judgements])
            ranking = nearest(index, moved, depth, method="exact")[1]
        shown = [ranking, *(_unseen(found, seen, groups) for found in (ranking, original))]
        relevant = [is_relevant(found[:, :judged], index_categories, query_categories) for found in shown]
        scores.append([precision_at(each, judged) for each in relevant])
        seen = np.concatenate([seen, shown[1][:, :judged]], axis=1)
        marked = np.concatenate([marked, relevant[1] ^ mistaken], axis=1)
    return Rounds(*np.stack(scores, axis=1))


def is_relevant(
    positions: np.ndarray, index_categories: np.ndarray, query_categories: np.ndarray
) -> np.ndarray:
    """Which of the retrieved images are of their query's category, boolean `[n_queries, k]`.

    >>> is_relevant(np.array([[0, 2]]), np.array(["cat", "cat", "dog"]), np.array(["cat"]))
    array([[ True, False]])
    """
    return index_categories[positions] == query_categories[:, np.newaxis]


def _unseen(ranking: np.ndarray, seen: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Each row of a ranking `[n, depth]` with the images of groups seen `[n, s]` moved to its end."""
    is_seen = (groups[ranking][:, :, np.newaxis] == groups[seen][:, np.newaxis]).any(axis=2)
    return np.take_along_axis(ranking, np.argsort(is_seen, axis=1, kind="stable"), axis=1)
