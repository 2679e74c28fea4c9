"""How long either way of searching takes, and how much of a KD-tree can be skipped; peaks of memory."""

from __future__ import annotations

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
    """Wall-clock time of `search.nearest`, what it prepares (such as the tree) included.

    Args:
        index: features `[n_index, dim]`.
        queries: features `[n_queries, dim]`.
        k: neighbours per query.
        method: as `search.nearest`.
        at_least: seconds. Of the queries, 64 are asked, then twice as many, and so on, until that takes
            so long or there are no more.

    Returns:
        Seconds, the least of three times.
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
    """Seconds per query in random vectors, drawn from a normal distribution.

    Args:
        shapes: rows and dimensions of every index.
        k: neighbours per query.
        seed: of the vectors.

    Returns:
        A row per shape, indexed by `rows` and `dimensions` and sorted by them, a column per method.
    """
    times = []
    for rows, dimensions in passing_bar(shapes, "timing", unit="shape"):
        rng = np.random.default_rng(seed)
        vectors = rng.standard_normal((rows + MOST, dimensions), dtype=np.float32)
        index, queries = vectors[:rows], vectors[rows:]
        times.append({method: seconds_per_query(index, queries, k, method=method) for method in CANDIDATES})
    return pd.DataFrame(times, pd.MultiIndex.from_tuples(shapes, names=["rows", "dimensions"])).sort_index()


def crossings(times: pd.DataFrame) -> list[float]:
    """Where two columns cross, on straight lines in a plot with logarithmic axes.

    Args:
        times: positive, two columns over an index of positive numbers in rising order.

    Returns:
        Places within the index, in rising order.

    >>> np.round(crossings(pd.DataFrame({"kdtree": [1.0, 4.0], "exact": [2.0, 2.0]}, index=[10, 1000])), 6)
    array([100.])
    """
    places, lead = np.log(times.index.to_numpy()), np.log(times.iloc[:, 1] / times.iloc[:, 0]).to_numpy()
    found = []
    for change in np.flatnonzero(np.signbit(lead[1:]) != np.signbit(lead[:-1])):
        between = slice(change, change + 2)
        order = np.argsort(lead[between])
        found.append(float(np.exp(np.interp(0, lead[between][order], places[between][order]))))
    return found


def faster(times: pd.DataFrame) -> str:
    """Which of two columns is the lower one, and from where on; no more than the times can tell.

    Args:
        times: as `crossings`; the index has a name.

    >>> faster(pd.DataFrame({"kdtree": [1.0, 4.0], "exact": [2.0, 2.0]}, pd.Index([10, 1000], name="rows")))
    'exact is faster from about 100 rows on'
    >>> faster(pd.DataFrame({"kdtree": [1.0, 1.0], "exact": [2.0, 3.0]}, pd.Index([10, 1000], name="rows")))
    'kdtree is faster throughout'
    """
    found, last = crossings(times), times.iloc[-1].idxmin()
    if len(found) > 1:
        return "the curves cross more than once, as on a busy machine: no answer"
    return f"{last} is faster {f'from about {found[0]:.0f} {times.index.name} on' if found else 'throughout'}"


def visited(index: np.ndarray, queries: np.ndarray, k: int) -> float:
    """The share of the index that the search of a KD-tree cannot skip, mean over the queries.

    A leaf can be skipped if its cell is further away than the k-th neighbour. (A search does not know
    that distance from the start, and may visit more.)

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
