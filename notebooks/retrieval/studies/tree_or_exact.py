"""How long both ways of searching take, and how much of a KD-tree a search has to visit."""

from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from retrieval.progress import passing_bar
from retrieval.search.neighbours import CANDIDATES, LEAF_SIZE, nearest

FEWEST, MOST = 64, 1024  # queries that are timed together


def seconds_per_query(
    index: np.ndarray, queries: np.ndarray, k: int, *, method: str, at_least: float = 0.15
) -> float:
    """Seconds that a query takes in `search.nearest`; building the tree, and the like, is included.

    Args:
        index: features `[n_index, dim]`.
        queries: features `[n_queries, dim]`.
        k: neighbours per query.
        method: "kdtree" or "exact".
        at_least: seconds. The first 64 queries are searched, then twice as many, and so on, until the
            search takes this long or there are no more queries.

    Returns:
        The least of three times.
    """

    def seconds(asked: int) -> float:
        start = perf_counter()
        nearest(index, queries[:asked], k, method=method)
        return perf_counter() - start

    asked = min(FEWEST, len(queries))
    while seconds(asked) < at_least and asked < len(queries):
        asked = min(2 * asked, len(queries))
    return min(seconds(asked) for _ in range(3)) / asked


def sweep(shapes: Sequence[tuple[int, int]], *, k: int, seed: int) -> pd.DataFrame:
    """Seconds per query in random vectors from a normal distribution.

    Args:
        shapes: rows and dimensions of each index.
        k: neighbours per query.
        seed: of the vectors.

    Returns:
        A row per shape, indexed and sorted by `rows` and `dimensions`; a column per method.
    """
    times = []
    for rows, dimensions in passing_bar(shapes, "timing", unit="shape"):
        rng = np.random.default_rng(seed)
        vectors = rng.standard_normal((rows + MOST, dimensions), dtype=np.float32)
        index, queries = vectors[:rows], vectors[rows:]
        times.append({method: seconds_per_query(index, queries, k, method=method) for method in CANDIDATES})
    return pd.DataFrame(times, pd.MultiIndex.from_tuples(shapes, names=["rows", "dimensions"])).sort_index()


def visited(index: np.ndarray, queries: np.ndarray, k: int) -> float:
    """The share of the index that a search in a KD-tree cannot skip, mean over the queries.

    A leaf can be skipped if its cell is farther away than the k-th neighbour. (A search does not know this
    distance from the start, and may visit more.)

    Args:
        index: features `[n_index, dim]`.
        queries: features `[n_queries, dim]`.
        k: neighbours per query.

    Returns:
        In [0, 1].
    """
    tree = KDTree(index, leafsize=LEAF_SIZE)
    sizes, *corners = zip(*_cells(tree.tree, tree.mins, tree.maxes), strict=True)
    (low, high), sizes = np.array(corners), np.array(sizes)
    shares = []
    for query, reach in zip(queries, tree.query(queries, [k])[0], strict=True):
        outside = np.linalg.norm(np.maximum(0, np.maximum(low - query, query - high)), axis=1)
        shares.append(sizes[outside <= reach].sum() / len(index))
    return float(np.mean(shares))


def _cells(
    node: KDTree.node, low: np.ndarray, high: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The number of rows of every leaf below a node, and the two corners of its cell."""
    if isinstance(node, KDTree.leafnode):
        yield len(node.idx), low, high
        return
    below, above = high.copy(), low.copy()
    below[node.split_dim] = above[node.split_dim] = node.split
    yield from _cells(node.less, low, below)
    yield from _cells(node.greater, above, high)
