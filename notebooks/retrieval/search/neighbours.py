"""Nearest neighbours by Euclidean distance, with a KD-tree or by comparing with every row.

Equal distances are ordered by position everywhere, so a result depends on the features alone. Comparing
with every row takes one matrix product, ||q - x||^2 = ||q||^2 + ||x||^2 - 2 q.x, which is fast but rounds.
It rounds least around the centre of the gallery, to which all vectors are moved. For a few neighbours, a
product in float32 picks candidates. A bound on its rounding error guarantees that no true neighbour is
missing. The distances of the candidates are then computed directly, in float64. A full ranking takes the
product in float64 and rounds squared distances to about twelve digits, so equal rows tie although their
products differ in the last bits.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from retrieval.progress import passing_bar

QUERY_BLOCK = 4096  # queries whose candidates are held at a time
TREE_BLOCK = 256  # queries that a tree is asked at a time
INDEX_BLOCK = 512  # rows whose distances are computed in float64 at a time
COMPARED = 128  # pairs of query and row whose distances are computed at a time: they fit into a cache
PRODUCT_ROWS, PRODUCT_QUERIES = 8192, 1024  # of a product in float32 (32 MB)
GROUP = 32  # rows of a product of which only the nearest is looked at first
SPARE_ROWS = 4  # candidates beyond the k nearest: with them, the bound nearly always settles the k
ROUNDING = 1e-9  # distances that differ by a smaller share of themselves may be equal except for rounding
TIE = 1e-5  # the same for distances that were computed in float32
# With 8,218 rows of 1280 features: 12.1 ms a query at 16, 11.4 at 64, 11.0 at 256, 11.3 at 1024.
# So many dimensions leave nothing to prune, and the size of a leaf hardly matters; in few it does.
LEAF_SIZE = 64
BITS = 40  # of a squared distance that rankings compare; the position has the other 23
RANKED = 1 << 22  # positions in a block of rankings (32 MB)

# The number of the first row, and float32 `[b, dim + 1]`: the rows minus the centre, and in the last column
# lower bounds of their squared lengths.
Block = tuple[int, np.ndarray]


@dataclass(frozen=True)
class Gallery:
    """Features `[n, dim]`, their mean, float64 `[dim]`, and their blocks if `prepare` has kept them."""

    rows: np.ndarray
    centre: np.ndarray
    kept: tuple[Block, ...] = ()

    def blocks(self) -> Iterable[Block]:
        return self.kept or _blocks(self.rows, self.centre)


def prepare(rows: np.ndarray) -> Gallery:
    """A gallery `[n, dim]` that need not be centred and converted for every exact search: it keeps a copy.

    >>> gallery = prepare(np.array([[0.0], [3.0], [1.0]]))
    >>> [nearest(gallery, np.array([[query]]), 1, method="exact")[1].item() for query in (0.1, 1.5, 4.0)]
    [0, 2, 1]
    """
    centre = _centre(rows)
    return Gallery(rows, centre, tuple(_blocks(rows, centre)))


def nearest(
    index: np.ndarray | Gallery,
    queries: np.ndarray,
    k: int,
    *,
    method: str = "kdtree",
    exclude_self: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Distances, float64, and positions, int64, of the k nearest rows of the index, `[n_queries, k]` each.

    The nearest comes first; equal distances are in the order of their positions. If the index has fewer rows
    than k, all are given. Both methods give the same neighbours. Each finds candidates, whose distances are
    then computed directly from the features. If a row that is no candidate could be as near as the last of
    the k, the query is compared with every row.

    Args:
        index: features `[n_index, dim]`, or a gallery that was prepared from them.
        queries: features `[n_queries, dim]`.
        method: "kdtree" (Bentley, 1975), or "exact" for comparing with every row, a block at a time.
        exclude_self: the queries are the index itself, and no row is its own neighbour.

    Raises:
        ValueError: there is no neighbour to give, the dimensions differ, or the method is unknown.

    >>> distances, positions = nearest(np.array([[0.0], [3.0], [1.0]]), np.array([[1.5]]), 2)
    >>> distances.tolist(), positions.tolist()
    ([[0.5, 1.5]], [[2, 0]])
    """
    if method not in CANDIDATES:
        raise ValueError(f"method {method!r} is unknown: use {' or '.join(CANDIDATES)}")
    gallery = index if isinstance(index, Gallery) else Gallery(index, _centre(index))
    rows, offered = gallery.rows, len(gallery.rows) - exclude_self
    if (k := min(k, offered)) < 1:
        raise ValueError(f"the index offers {offered} neighbours, and k is {k}")
    found = k + exclude_self
    _check_dimensions(rows, queries)
    candidates, beyond = CANDIDATES[method](gallery, queries, found)
    distances, positions = _compare(rows, queries, candidates, found)
    everything = np.arange(len(rows))[np.newaxis]
    for row in np.flatnonzero(distances[:, -1] >= beyond * (1 - ROUNDING)):
        distances[row], positions[row] = _compare(rows, queries[[row]], everything, found)
    if exclude_self:
        distances[positions == everything.T] = np.inf
    return _first(distances, positions, k)


def rank_blocks(index: np.ndarray, queries: np.ndarray) -> Iterator[np.ndarray]:
    """Full rankings of the index `[n_index, dim]`, int64 `[b, n_index]`, for a block of queries at a time.

    The nearest position comes first; equal distances, which agree to about twelve digits, are in the order
    of their positions. A ValueError says that the dimensions differ.

    >>> list(rank_blocks(np.array([[0.0], [3.0], [1.0]]), np.array([[1.5]])))
    [array([[2, 0, 1]])]
    """
    _check_dimensions(index, queries)
    block, centre = max(1, RANKED // len(index)), _centre(index)
    starts = range(0, len(index), INDEX_BLOCK)
    reach = max(_squared_lengths(index[start : start + INDEX_BLOCK] - centre).max() for start in starts)
    for start in passing_bar(range(0, len(queries), block), "ranking", unit="block"):
        keys = _keys(index, queries[start : start + block], centre, reach)
        keys.sort(axis=1)
        keys %= len(index)
        yield keys


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share, in [0, 1], of the rows found that are no farther from their query than its k-th nearest row.

    Both are distances `[n_queries, k]`, `found` by a search that may miss neighbours, off by a
    hundred-thousandth at most (Aumueller et al., "ANN-Benchmarks", Information Systems 87, 2020).

    >>> recall(np.array([[0.0, 1.0], [2.0, 4.0]]), np.array([[0.0, 1.0], [2.0, 3.0]]))
    0.75
    """
    return float((found <= exact.max(axis=1, keepdims=True) * (1 + TIE)).mean())


def _check_dimensions(index: np.ndarray, queries: np.ndarray) -> None:
    if index.shape[1] != queries.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} dimensions, the index {index.shape[1]}")


def _tree_candidates(gallery: Gallery, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions `[n_queries, >= k]` of candidates, and distances `[n_queries]` that no other row is below."""
    # Comparing with every row needs no SciPy, which takes longer to import than one query takes.
    from scipy.spatial import KDTree

    tree = KDTree(gallery.rows, leafsize=LEAF_SIZE)
    found = min(k + 1, len(gallery.rows))
    positions, beyond = np.empty((len(queries), found), np.int64), np.empty(len(queries))
    for start in passing_bar(range(0, len(queries), TREE_BLOCK), "searching", unit="block"):
        asked = slice(start, start + TREE_BLOCK)
        # After the last row, the tree gives rows at an infinite distance.
        distances, rows = tree.query(queries[asked], range(1, found + 2), workers=-1)
        positions[asked], beyond[asked] = rows[:, :found], distances[:, found]
    return positions, beyond


def _product_candidates(gallery: Gallery, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """As `_tree_candidates`, from lower bounds of the squared distances.

    A sum of n products in float32 is off by less than about n 2^-24 times the sum of their sizes (Higham,
    "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1). Here it is |x|^2 - 2 q.x, whose
    sizes add up to |q|^2 + 2 |x|^2 at most. With both squares made smaller by more than that (`_shortened`),
    the sum is a lower bound.
    """
    found = min(k + SPARE_ROWS, len(gallery.rows))
    positions, beyond = np.empty((len(queries), found), np.int64), np.full(len(queries), np.inf)
    if found == len(gallery.rows):
        positions[:] = np.arange(found)
        return positions, beyond
    for start in passing_bar(range(0, len(queries), QUERY_BLOCK), "searching", unit="block"):
        asked = slice(start, start + QUERY_BLOCK)
        moved = queries[asked] - gallery.centre
        doubled = np.append(-2 * moved, np.ones((len(moved), 1)), axis=1).astype(np.float32)
        positions[asked], highest, longest = _lowest(gallery.blocks(), doubled, found)
        squared = highest + _shortened(moved) - moved.shape[1] * float(np.finfo(np.float32).tiny)
        # Where float32 may have overflowed, the bound says nothing.
        reach = 2 * (np.sqrt(_squared_lengths(moved)) + np.sqrt(longest)) ** 2
        beyond[asked] = np.sqrt(np.where(reach < np.finfo(np.float32).max, np.maximum(squared, 0), 0))
    return positions, beyond


CANDIDATES = {"kdtree": _tree_candidates, "exact": _product_candidates}


def _centre(rows: np.ndarray) -> np.ndarray:
    return rows.mean(axis=0, dtype=np.float64)


def _blocks(rows: np.ndarray, centre: np.ndarray) -> Iterator[Block]:
    for start in range(0, len(rows), PRODUCT_ROWS):
        block = np.empty((min(PRODUCT_ROWS, len(rows) - start), rows.shape[1] + 1), np.float32)
        for first in range(0, len(block), INDEX_BLOCK):
            moved = rows[start + first : start + min(first + INDEX_BLOCK, len(block))] - centre
            block[first : first + INDEX_BLOCK, :-1] = moved
            block[first : first + INDEX_BLOCK, -1] = _shortened(moved)
        yield start, block


def _shortened(rows: np.ndarray) -> np.ndarray:
    """Squared lengths, made smaller by more than a product in float32 may be off."""
    off = (rows.shape[1] + 8) * float(np.finfo(np.float32).eps)
    return (1 - off * (1 + off)) * _squared_lengths(rows)


def _lowest(blocks: Iterable[Block], doubled: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Positions `[n_queries, k]` of the lowest |x|^2 - 2 q.x, the highest of these, and the largest |x|^2.

    `doubled` is -2 q and a one, float32 `[n_queries, dim + 1]`; there are at least k rows. Of every few rows,
    one has the least value. The k-th lowest of these is a limit that at least k rows do not exceed.
    """
    limits, longest = np.full((len(doubled), 1), np.inf, np.float32), 0.0
    query, row, value = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    for start, rows in blocks:
        longest = max(longest, float(rows[:, -1].max()))
        found = [(query, row, value)]
        few = max(1, min(GROUP, len(rows) // k))
        groups = len(rows) // few
        for first in range(0, len(doubled), PRODUCT_QUERIES):
            asked = slice(first, first + PRODUCT_QUERIES)
            values = doubled[asked] @ rows.T
            if groups >= k:
                least = values[:, : groups * few].reshape(len(values), few, groups).min(axis=1)
                least.partition(k - 1, axis=1)
                limits[asked] = np.minimum(limits[asked], least[:, [k - 1]])
            # What is no number counts, too: every query shall find k.
            at = np.flatnonzero(~(values > limits[asked]))
            own, place = np.divmod(at, len(rows))
            found.append(_first_of_each(own + first, place + start, values.ravel()[at], k))
        query, row, value = (np.concatenate(each) for each in zip(*found, strict=True))
        query, row, value = _first_of_each(query, row, value, k)
    return row.reshape(-1, k), value.reshape(-1, k).max(axis=1), longest


def _first_of_each(
    query: np.ndarray, row: np.ndarray, value: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of rows found for queries, `[n]` each, the k of lowest value for each query, in their order."""
    order = np.lexsort((value, query))
    query = query[order]
    first = np.arange(len(query)) - np.searchsorted(query, query) < k
    return query[first], row[order[first]], value[order[first]]


def _compare(
    index: np.ndarray, queries: np.ndarray, positions: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of the rows at each query's positions, by their distances in float64."""
    distances = np.empty(positions.shape)
    few = max(1, COMPARED // positions.shape[1])
    for asked in range(0, len(queries), few):
        for start in range(0, positions.shape[1], INDEX_BLOCK):
            block = np.s_[asked : asked + few, start : start + INDEX_BLOCK]
            difference = index[positions[block]].astype(np.float64)
            difference -= queries[asked : asked + few, np.newaxis]
            distances[block] = np.sqrt(np.einsum("qnd,qnd->qn", difference, difference))
    return _first(distances, positions, k)


def _first(distances: np.ndarray, positions: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first k of every row, nearest first, equal distances in the order of their positions."""
    order = np.lexsort((positions, distances))[:, :k]
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(positions, order, axis=1)


def _keys(index: np.ndarray, queries: np.ndarray, centre: np.ndarray, reach: float) -> np.ndarray:
    """What rankings sort, int64 `[n_queries, n_index]`: the rounded squared distance, then the position.

    Each query has a unit of its own, a power of two, which divides without rounding. The largest squared
    distance, at most 2 (|q|^2 + reach), is less than 2^BITS units.
    """
    queries = queries - centre
    own = _squared_lengths(queries)[:, np.newaxis]
    unit = np.ldexp(1.0, np.frexp(2 * (own + reach))[1] - BITS)
    keys = np.empty((len(queries), len(index)), np.int64)
    queries *= -2.0
    for start in range(0, len(index), INDEX_BLOCK):
        rows = index[start : start + INDEX_BLOCK] - centre
        squared = own + _squared_lengths(rows)
        squared += queries @ rows.T
        keys[:, start : start + INDEX_BLOCK] = np.rint(squared / unit)
    keys *= len(index)
    keys += np.arange(len(index))
    return keys


def _squared_lengths(rows: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", rows, rows)
