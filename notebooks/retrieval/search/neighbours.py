"""Nearest neighbours by Euclidean distance, with a KD-tree or by comparing with every row.

Equal distances are ordered by position everywhere, so that a result depends on nothing but the
features. Comparing with every row takes one matrix product,

    ||q - x||^2 = ||q||^2 + ||x||^2 - 2 q.x

which is fast but rounds: least so around the centre of the index, to which all vectors are moved.
For a few neighbours, the product in float32 only says which rows cannot be among them, and a bound on
its rounding proves it; those that can are compared directly, in float64. A full ranking cannot be
checked row by row. There the product is taken in float64, and squared distances are compared in units
of about 2e-11 of themselves or of ||q||^2, whichever is larger (2e-10 with a million rows), so that
equal rows tie even if their products differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retrieval.progress import passing_bar

INDEX_BLOCK, QUERY_BLOCK = 512, 4096  # rows that are compared at a time
TREE_BLOCK = 256  # queries that a tree is asked at a time
# Rows beyond the k nearest that the exact method looks at, to be sure of the k.
SPARE_ROWS = 4
# Distances that differ by a smaller share of themselves may be equal but for rounding.
ROUNDING = 1e-9
TIE = 1e-5  # likewise where distances were computed in float32
# With 8,218 rows of 1280 features: 12.1 ms a query at 16, 11.4 at 64, 11.0 at 256, 11.3 at 1024.
# So many dimensions leave nothing to prune, and the size of a leaf hardly matters; in few it does.
LEAF_SIZE = 64
# At least so many bits of a squared distance are left out of rankings; rounding spoils the last few.
SPARE_BITS = 16
RANKED = 1 << 22  # positions in a block of rankings


def nearest(
    index: np.ndarray,
    queries: np.ndarray,
    k: int,
    *,
    method: str = "kdtree",
    exclude_self: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of the index for every query.

    Both methods give the same neighbours, ties included: either finds candidates, whose distances are
    then taken directly from the features. A query for which a row that was left out could be as near as
    the last of the k is compared with every row.

    Args:
        index: features `[n_index, dim]`.
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
    if not 1 <= k <= len(index) - exclude_self:
        raise ValueError(f"k={k}, but the index offers 1 to {len(index) - exclude_self} neighbours")
    _check_dimensions(index, queries)
    candidates, beyond = CANDIDATES[method](index, queries, k + exclude_self)
    distances, positions = _first(_distances(index, queries, candidates), candidates, k + exclude_self)
    for row in np.flatnonzero(distances[:, -1] >= beyond * (1 - ROUNDING)):
        distances[row], positions[row] = _compare(index, queries[row], k + exclude_self)
    if exclude_self:
        distances[positions == np.arange(len(index))[:, np.newaxis]] = np.inf
    return _first(distances, positions, k)


def rank_blocks(index: np.ndarray, queries: np.ndarray, *, block: int | None = None) -> Iterator[np.ndarray]:
    """Full rankings of the index, for one block of queries after another.

    Args:
        index: features `[n_index, dim]`.
        queries: features `[n_queries, dim]`.
        block: queries per block b; by default as many as make four million positions (32 MB).

    Yields:
        Positions of all rows of the index, int64 `[b, n_index]`, nearest first, equal distances in
        the order of their positions; equal as far as the product resolves (see above).

    Raises:
        ValueError: the dimensions differ.

    >>> list(rank_blocks(np.array([[0.0], [3.0], [1.0]]), np.array([[1.5]])))
    [array([[2, 0, 1]])]
    """
    _check_dimensions(index, queries)
    block = block or max(1, RANKED // len(index))
    centre = index.mean(axis=0, dtype=np.float64)
    for start in passing_bar(range(0, len(queries), block), "ranking", unit="block"):
        keys = _keys(index, queries[start : start + block], centre)
        keys.sort(axis=1)
        keys &= _position_bits(index)
        yield keys.view(np.int64)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share of the rows found that are no farther from their query than its k-th nearest row.

    Of several rows at that distance any will do (Aumueller et al., "ANN-Benchmarks", Information Systems
    87, 2020). Distances may be off by a hundred-thousandth of themselves, as in float32.

    Args:
        found: distances of what a search that may miss neighbours gave, `[n_queries, k]`.
        exact: those of exact search, `[n_queries, k]`.

    Returns:
        Mean over the queries, in [0, 1].

    >>> recall(np.array([[0.0, 1.0], [2.0, 4.0]]), np.array([[0.0, 1.0], [2.0, 3.0]]))
    0.75
    """
    return float((found <= exact.max(axis=1, keepdims=True) * (1 + TIE)).mean())


def _check_dimensions(index: np.ndarray, queries: np.ndarray) -> None:
    if index.shape[1] != queries.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} dimensions, the index {index.shape[1]}")


def _first(distances: np.ndarray, positions: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first k of every row, nearest first, equal distances in the order of their positions."""
    order = np.lexsort((positions, distances))[:, :k]
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(positions, order, axis=1)


def _tree_candidates(index: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest rows and one more, and a distance that no other row is nearer than.

    Returns:
        Positions `[n_queries, >= k]` and distances `[n_queries]`.
    """
    # Comparing with every row needs no SciPy, which takes longer to import than one query takes.
    from scipy.spatial import KDTree

    tree = KDTree(index, leafsize=LEAF_SIZE)
    found = min(k + 1, len(index))
    positions, beyond = np.empty((len(queries), found), np.int64), np.empty(len(queries))
    with passing_bar(total=len(queries), desc="searching", unit="query") as progress:
        for start in range(0, len(queries), TREE_BLOCK):
            rows = slice(start, start + TREE_BLOCK)
            # Where the index ends, the next row is at an infinite distance.
            distances, nearest_rows = tree.query(queries[rows], range(1, found + 2), workers=-1)
            positions[rows], beyond[rows] = nearest_rows[:, :found], distances[:, found]
            progress.update(len(distances))
    return positions, beyond


def _product_candidates(index: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """As `_tree_candidates`, with `SPARE_ROWS` more.

    A product of n dimensions in float32 is off by at most n 2^-24 |q||x|, but for higher powers (Higham,
    "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1), and so by less than that share
    of |q|^2 + |x|^2. With both made smaller by more than the share, no squared distance comes out too
    large.
    """
    found = min(k + SPARE_ROWS, len(index))
    positions, beyond = np.empty((len(queries), found), np.int64), np.full(len(queries), np.inf)
    centre, rounding = index.mean(axis=0, dtype=np.float64), np.finfo(np.float32)
    share = 1 - (len(centre) + 8) * float(rounding.eps)
    for start in passing_bar(range(0, len(queries), QUERY_BLOCK), "searching", unit="block"):
        rows = slice(start, start + QUERY_BLOCK)
        moved = queries[rows] - centre
        positions[rows], bounds = _lowest_bounds(index, moved, centre, share, found)
        if found < len(index):
            squared = bounds + share * _squared_lengths(moved) - len(centre) * float(rounding.tiny)
            # A bound that float32 could not hold is none.
            beyond[rows] = np.sqrt(np.where(np.isfinite(bounds), np.maximum(squared, 0), 0))
    return positions, beyond


CANDIDATES = {"kdtree": _tree_candidates, "exact": _product_candidates}


def _lowest_bounds(
    index: np.ndarray, queries: np.ndarray, centre: np.ndarray, share: float, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions `[n_queries, k]` of the least share |x|^2 - 2 q.x, and the largest of these."""
    doubled = (-2 * queries).astype(np.float32)
    values, positions = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for start in range(0, len(index), INDEX_BLOCK):
        rows = index[start : start + INDEX_BLOCK] - centre
        block = doubled @ rows.astype(np.float32).T
        block += (share * _squared_lengths(rows)).astype(np.float32)
        lowest, columns = _lowest(block, k)
        values, positions = np.hstack([values, lowest]), np.hstack([positions, start + columns])
        if values.shape[1] > k:
            order = np.argpartition(values, k - 1, axis=1)[:, :k]
            values, positions = (np.take_along_axis(each, order, axis=1) for each in (values, positions))
    return positions, values.max(axis=1)


def _lowest(values: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k lowest values of every row, with some others and with NaN to fill rows up, and their columns."""
    # The k-th lowest value is at most the k-th lowest of the minima of groups, which are fewer to sort.
    width = max(1, values.shape[1] // (4 * k))
    groups = values.shape[1] // width
    minima = values[:, : groups * width].reshape(len(values), width, groups).min(axis=1)
    limits = np.partition(minima, k - 1, axis=1)[:, [k - 1]] if k < groups else np.inf
    rows, columns = np.divmod(np.flatnonzero(~(values > limits)), values.shape[1])
    counts = np.bincount(rows, minlength=len(values))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    lowest = np.full((len(values), counts.max()), np.nan, values.dtype)
    found = np.zeros(lowest.shape, np.int64)
    lowest[rows, places], found[rows, places] = values[rows, columns], columns
    return lowest, found


def _distances(index: np.ndarray, queries: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Distances `[n_queries, k]` between each query and the rows at its positions."""
    distances = np.empty(positions.shape)
    for row, (query, found) in enumerate(zip(queries, positions, strict=True)):
        distances[row] = np.linalg.norm(index[found].astype(np.float64) - query, axis=1)
    return distances


def _compare(index: np.ndarray, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and positions `[k]` of the rows nearest to one query, from those of all rows."""
    blocks = np.split(np.arange(len(index)), range(INDEX_BLOCK, len(index), INDEX_BLOCK))
    distances = np.hstack([_distances(index, query[np.newaxis], rows[np.newaxis]) for rows in blocks])[0]
    order = np.argsort(distances, kind="stable")[:k]
    return distances[order], order


def _position_bits(index: np.ndarray) -> np.uint64:
    return np.uint64((1 << max(SPARE_BITS, (len(index) - 1).bit_length())) - 1)


def _keys(index: np.ndarray, queries: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Sort keys, uint64 `[n_queries, n_index]`.

    Floats that are not negative are ordered as their bits are. The last of these give way to the
    position: one number that sorts by distance, then by position, and that says which row it is.
    """
    keys = np.empty((len(queries), len(index)), np.uint64)
    queries = queries - centre
    # One ||q||^2 more than the distance has: the unit of comparison never gets finer than rounding is.
    lengths = 2.0 * _squared_lengths(queries)[:, np.newaxis]
    queries *= -2.0
    for start in range(0, len(index), INDEX_BLOCK):
        rows = index[start : start + INDEX_BLOCK] - centre
        shifted = lengths + _squared_lengths(rows)
        shifted += queries @ rows.T
        keys[:, start : start + INDEX_BLOCK] = shifted.view(np.uint64)
    # Rounded, not cut: distances that ought to be round numbers lie within a unit, not on its edge.
    keys += _position_bits(index) // np.uint64(2)
    keys &= ~_position_bits(index)
    keys |= np.arange(len(index), dtype=np.uint64)
    return keys


def _squared_lengths(rows: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", rows, rows)
