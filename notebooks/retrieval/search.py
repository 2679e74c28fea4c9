"""Euclidean nearest neighbours, by a KD-tree or by comparing with everything, and full rankings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial import KDTree

# Entries of one block of distances, 64 MB as float32.
BLOCK = 2**24
# Neighbours looked at beyond k, so that ties at the border are settled by position.
SLACK = 16


def nearest(
    index: np.ndarray, queries: np.ndarray, k: int, *, method: str = "kdtree", exclude_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of the index for every query.

    Both methods give the same neighbours: they only propose candidates, whose distances are then
    computed in double precision.

    Args:
        index: features `[n_index, dim]`.
        queries: features `[n_queries, dim]`.
        k: how many.
        method: "kdtree" (Bentley, 1975), or "exact", a matrix product, faster from about ten
            dimensions on.
        exclude_self: the queries are the index itself, and no row is its own neighbour.

    Returns:
        Distances, float64 `[n_queries, k]`, nearest first, and positions in the index, int64
        `[n_queries, k]`. Equal distances are ordered by position (if no more than 16 of them tie
        at the border).

    Raises:
        ValueError: the dimensions differ, the method is unknown, or the index has too few rows.
    """
    if index.shape[1] != queries.shape[1]:
        raise ValueError(f"index has {index.shape[1]} dimensions, queries have {queries.shape[1]}")
    if not 1 <= k <= len(index) - exclude_self:
        raise ValueError(f"k={k} neighbours of an index of {len(index)} rows")
    if method not in ("kdtree", "exact"):
        raise ValueError(f"method {method!r} is neither 'kdtree' nor 'exact'")
    wanted = min(k + exclude_self + SLACK, len(index))
    propose = _by_tree if method == "kdtree" else _by_product
    candidates = propose(index, queries, wanted)
    distances = _distances(index, queries, candidates)
    if exclude_self:
        distances[candidates == np.arange(len(queries))[:, np.newaxis]] = np.inf
    order = np.lexsort((candidates, distances))[:, :k]
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(candidates, order, axis=1)


def rank_blocks(index: np.ndarray, queries: np.ndarray) -> Iterator[np.ndarray]:
    """Full rankings, for one block of queries after another.

    Args:
        index: features `[n_index, dim]`.
        queries: features `[n_queries, dim]`.

    Yields:
        Positions of all rows of the index, nearest first, equal distances by position,
        int64 `[b, n_index]`.
    """
    for distances in _relative_distances(index, queries):
        yield np.argsort(distances, axis=1, kind="stable")


def _by_tree(index: np.ndarray, queries: np.ndarray, wanted: int) -> np.ndarray:
    found = KDTree(index).query(queries, wanted, workers=-1)[1]
    return found.reshape(len(queries), wanted).astype(np.int64)


def _by_product(index: np.ndarray, queries: np.ndarray, wanted: int) -> np.ndarray:
    blocks = [
        np.argpartition(distances, wanted - 1, axis=1)[:, :wanted]
        for distances in _relative_distances(index, queries)
    ]
    return np.concatenate(blocks) if blocks else np.empty((0, wanted), np.int64)


def _relative_distances(index: np.ndarray, queries: np.ndarray) -> Iterator[np.ndarray]:
    """Squared distances less the query's own squared length, which ranks alike, by block."""
    # Around its mean the vectors are shorter, and fewer digits cancel.
    mean = index.mean(axis=0)
    index, queries = (index - mean).astype(np.float32), (queries - mean).astype(np.float32)
    squares = np.einsum("nd,nd->n", index, index)
    rows = max(1, BLOCK // len(index))
    for start in range(0, len(queries), rows):
        yield squares - 2 * (queries[start : start + rows] @ index.T)


def _distances(index: np.ndarray, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Distances `[n_queries, wanted]` of queries to their candidates, in double precision."""
    distances = np.empty(candidates.shape)
    rows = max(1, BLOCK // (candidates.shape[1] * index.shape[1]))
    for start in range(0, len(queries), rows):
        block = slice(start, start + rows)
        differences = index[candidates[block]].astype(np.float64) - queries[block, np.newaxis]
        distances[block] = np.sqrt(np.einsum("qkd,qkd->qk", differences, differences))
    return distances
