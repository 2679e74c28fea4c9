"""Relevance feedback over all queries, from a simulated user who judges by the categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrieval.evaluation.metrics import precision_at
from retrieval.progress import passing_bar
from retrieval.search.feedback import Method, rocchio
from retrieval.search.neighbours import nearest


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
