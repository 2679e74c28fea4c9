"""Nearest neighbours by Euclidean distance, with a KD-tree or by comparing with every row.

Equal distances are ordered by position everywhere, so a result depends on the features alone. Comparing
with every row takes one matrix product,

    ||q - x||^2 = ||q||^2 + ||x||^2 - 2 q.x

which is fast but rounds. It rounds least around the centre of the gallery, to which all vectors are moved.
For a few neighbours, a product in float32 picks candidates. A bound on its rounding error guarantees that no
true neighbour is missing. The distances of the candidates are then computed directly, in float64. A full
ranking takes the product in float64 and rounds squared distances to about twelve digits, so equal rows tie
although their products differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from retrieval.progress import passing_bar

INDEX_BLOCK, QUERY_BLOCK = 512, 4096  # rows that are compared at a time
TREE_BLOCK = 256  # queries that a tree is asked at a time
SPARE_ROWS = 4  # candidates beyond the k nearest: with them, the bound nearly always settles the k
ROUNDING = 1e-9  # distances that differ by a smaller share of themselves may be equal except for rounding
TIE = 1e-5  # the same for distances that were computed in float32
# With 8,218 rows of 1280 features: 12.1 ms a query at 16, 11.4 at 64, 11.0 at 256, 11.3 at 1024.
# So many dimensions leave nothing to prune, and the size of a leaf hardly matters; in few it does.
LEAF_SIZE = 64
BITS = 40  # of a squared distance that rankings compare; the position has the other 23
RANKED = 1 << 22  # positions in a block of rankings

# The number of the first row; the rows minus the centre, float32 `[b, dim]`; lower bounds of their squared
# lengths, float32 `[b]`.
Block = tuple[int, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Gallery:
    """A gallery that many exact searches share; `prepare` makes one.

    Attributes:
        rows: features `[n, dim]`.
        centre: their mean, float64 `[dim]`.
        blocks: what `_blocks` makes of them, kept or made again for every search.
    """

    rows: np.ndarray
    centre: np.ndarray
    blocks: Callable[[], Iterable[Block]]


def prepare(rows: np.ndarray) -> Gallery:
    """A gallery that need not be centred and converted again for every search.

    Args:
        rows: features `[n, dim]`. They are kept, beside a float32 copy of them.

    >>> gallery = prepare(np.array([[0.0], [3.0], [1.0]]))
    >>> [nearest(gallery, np.array([[query]]), 1, method="exact")[1].item() for query in (0.1, 1.5, 4.0)]
    [0, 2, 1]
    """
    gallery = _unprepared(rows)
    blocks = list(gallery.blocks())
    return replace(gallery, blocks=lambda: blocks)


def nearest(
    index: np.ndarray | Gallery,
    queries: np.ndarray,
    k: int,
    *,
    method: str = "kdtree",
    exclude_self: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of the index for every query.

    Both methods give the same neighbours, ties included. Each finds candidates, whose distances are then
    computed directly from the features. If a row that is no candidate could be as near as the last of the k,
    the query is compared with every row.

    Args:
        index: features `[n_index, dim]`, or a gallery that was prepared from them.
        queries: features `[n_queries, dim]`.
        k: neighbours per query.
        method: "kdtree" (Bentley, 1975), or "exact" for comparing with every row, a block at a time.
        exclude_self: the queries are the index itself, and no row is its own neighbour.

    Returns:
        Distances, float64 `[n_queries, k]`, and positions in the index, int64 `[n_queries, k]`,
        nearest first, equal distances in the order of their positions.

    Raises:
        ValueError: k is more than the index offers, the dimensions differ, or the method is unknown.

    >>> distances, positions = nearest(np.array([[0.0], [3.0], [1.0]]), np.array([[1.5]]), 2)
    >>> distances.tolist(), positions.tolist()
    ([[0.5, 1.5]], [[2, 0]])
    """
    if method not in CANDIDATES:
        raise ValueError(f"method {method!r} is unknown: use {' or '.join(CANDIDATES)}")
    gallery = index if isinstance(index, Gallery) else _unprepared(index)
    rows = gallery.rows
    if not 1 <= k <= len(rows) - exclude_self:
        raise ValueError(f"k={k}, but the index offers 1 to {len(rows) - exclude_self} neighbours")
    _check_dimensions(rows, queries)
    found = k + exclude_self
    candidates, beyond = CANDIDATES[method](gallery, queries, found)
    distances, positions = _first(_distances(rows, queries, candidates), candidates, found)
    for row in np.flatnonzero(distances[:, -1] >= beyond * (1 - ROUNDING)):
        distances[row], positions[row] = _compare(rows, queries[row], found)
    if exclude_self:
        distances[positions == np.arange(len(rows))[:, np.newaxis]] = np.inf
    return _first(distances, positions, k)


def rank_blocks(index: np.ndarray, queries: np.ndarray, *, block: int | None = None) -> Iterator[np.ndarray]:
    """Full rankings of the index, for one block of queries after another.

    Args:
        index: features `[n_index, dim]`.
        queries: features `[n_queries, dim]`.
        block: queries per block b; by default as many as make four million positions (32 MB).

    Yields:
        Positions of all rows of the index, int64 `[b, n_index]`, nearest first, equal distances in
        the order of their positions. Two are equal if they agree to about twelve digits (see above).

    Raises:
        ValueError: the dimensions differ.

    >>> list(rank_blocks(np.array([[0.0], [3.0], [1.0]]), np.array([[1.5]])))
    [array([[2, 0, 1]])]
    """
    _check_dimensions(index, queries)
    block = block or max(1, RANKED // len(index))
    centre = index.mean(axis=0, dtype=np.float64)
    starts = range(0, len(index), INDEX_BLOCK)
    reach = max(_squared_lengths(index[start : start + INDEX_BLOCK] - centre).max() for start in starts)
    for start in passing_bar(range(0, len(queries), block), "ranking", unit="block"):
        keys = _keys(index, queries[start : start + block], centre, reach)
        keys.sort(axis=1)
        keys %= len(index)
        yield keys


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share of the rows found that are no farther from their query than its k-th nearest row.

    Any of several rows at that distance will do (Aumueller et al., "ANN-Benchmarks", Information Systems
    87, 2020). Distances may be off by a hundred-thousandth of themselves, as in float32.

    Args:
        found: distances by a search that may miss neighbours, `[n_queries, k]`.
        exact: distances by exact search, `[n_queries, k]`.

    Returns:
        Mean over the queries, in [0, 1].

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
    with passing_bar(total=len(queries), desc="searching", unit="query") as progress:
        for start in range(0, len(queries), TREE_BLOCK):
            asked = slice(start, start + TREE_BLOCK)
            # After the last row, the tree gives rows at an infinite distance.
            distances, nearest_rows = tree.query(queries[asked], range(1, found + 2), workers=-1)
            positions[asked], beyond[asked] = nearest_rows[:, :found], distances[:, found]
            progress.update(len(distances))
    return positions, beyond


def _product_candidates(gallery: Gallery, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """As `_tree_candidates`, from lower bounds of the squared distances.

    A product of n dimensions in float32 is off by less than about n 2^-24 |q||x| (Higham, "Accuracy and
    Stability of Numerical Algorithms", 2002, section 3.1), and so by less than that share of |q|^2 + |x|^2.
    With both made smaller by more than this share (`_shortened`), the sum is a lower bound.
    """
    found = min(k + SPARE_ROWS, len(gallery.rows))
    positions, beyond = np.empty((len(queries), found), np.int64), np.full(len(queries), np.inf)
    for start in passing_bar(range(0, len(queries), QUERY_BLOCK), "searching", unit="block"):
        asked = slice(start, start + QUERY_BLOCK)
        moved = queries[asked] - gallery.centre
        positions[asked], highest = _lowest(gallery.blocks(), (-2 * moved).astype(np.float32), found)
        if found < len(gallery.rows):
            squared = highest + _shortened(moved) - moved.shape[1] * float(np.finfo(np.float32).tiny)
            # A bound that is too large for float32 says nothing.
            beyond[asked] = np.sqrt(np.where(np.isfinite(highest), np.maximum(squared, 0), 0))
    return positions, beyond


CANDIDATES = {"kdtree": _tree_candidates, "exact": _product_candidates}


def _unprepared(rows: np.ndarray) -> Gallery:
    centre = rows.mean(axis=0, dtype=np.float64)
    return Gallery(rows, centre, lambda: _blocks(rows, centre))


def _blocks(rows: np.ndarray, centre: np.ndarray) -> Iterator[Block]:
    for start in range(0, len(rows), INDEX_BLOCK):
        moved = rows[start : start + INDEX_BLOCK] - centre
        yield start, moved.astype(np.float32), _shortened(moved).astype(np.float32)


def _shortened(rows: np.ndarray) -> np.ndarray:
    """Squared lengths, made smaller by more than a product in float32 may be off."""
    return (1 - (rows.shape[1] + 8) * float(np.finfo(np.float32).eps)) * _squared_lengths(rows)


def _lowest(blocks: Iterable[Block], doubled: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions `[n_queries, k]` of the lowest |x|^2 - 2 q.x, unsorted, and the highest of these values.

    `doubled` is -2 q, float32 `[n_queries, dim]`.
    """
    values: np.ndarray = np.empty((len(doubled), 0), np.float32)
    positions: np.ndarray = np.empty((len(doubled), 0), np.int64)
    for start, rows, lengths in blocks:
        block = doubled @ rows.T
        block += lengths
        columns = _lowest_columns(block, k)
        values = np.hstack([values, np.take_along_axis(block, columns, axis=1)])
        positions = np.hstack([positions, start + columns])
        columns = _lowest_columns(values, k)
        values, positions = (np.take_along_axis(each, columns, axis=1) for each in (values, positions))
    return positions, values.max(axis=1)


def _lowest_columns(values: np.ndarray, k: int) -> np.ndarray:
    """The columns of the k lowest values of every row, or of all if there are no more than k."""
    if k < values.shape[1]:
        return np.argpartition(values, k - 1, axis=1)[:, :k]
    return np.broadcast_to(np.arange(values.shape[1]), values.shape)


def _distances(index: np.ndarray, queries: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Distances `[n_queries, k]` between each query and the rows at its positions."""
    distances = np.empty(positions.shape)
    for row, (query, found) in enumerate(zip(queries, positions, strict=True)):
        distances[row] = np.linalg.norm(index[found].astype(np.float64) - query, axis=1)
    return distances


def _first(distances: np.ndarray, positions: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first k of every row, nearest first, equal distances in the order of their positions."""
    order = np.lexsort((positions, distances))[:, :k]
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(positions, order, axis=1)


def _compare(index: np.ndarray, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and positions `[k]` of the rows nearest to one query, from the distances of all rows."""
    blocks = np.split(np.arange(len(index)), range(INDEX_BLOCK, len(index), INDEX_BLOCK))
    distances = np.hstack([_distances(index, query[np.newaxis], rows[np.newaxis]) for rows in blocks])[0]
    order = np.argsort(distances, kind="stable")[:k]
    return distances[order], order


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
