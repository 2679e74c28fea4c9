"""What is drawn at random to look at: good and bad queries, and pairs of images."""

import numpy as np

PAIRS = 2000


def good_and_bad(right: np.ndarray, *, count: int = 2, seed: int) -> np.ndarray:
    """Queries with the most right results, then queries with the fewest, rows of `right`, int64.

    `right`, boolean `[n_queries, k]`, tells which retrieved images are of the query's category. Of each kind,
    `count` are drawn, or as many as there are; if all queries are equally good, there is one kind.

    >>> good_and_bad(np.array([[True, False], [False, False], [True, True]]), seed=0)
    array([2, 1])
    """
    rng, hits = np.random.default_rng(seed), right.sum(axis=1)
    pools = [np.flatnonzero(hits == number) for number in sorted({hits.max(), hits.min()}, reverse=True)]
    return np.concatenate([rng.choice(pool, min(count, len(pool)), replace=False) for pool in pools])


def contribution(features: np.ndarray, dimensions: int, *, seed: int) -> np.ndarray:
    """The share, in [0, 1], of the first dimensions in the squared distances of 2,000 random pairs of rows.

    Features are `[n, dim]`, n at least 2. Pairs of equal rows have no distance to share, and are left out.

    >>> contribution(np.array([[0.0, 0.0], [3.0, 4.0]]), 1, seed=0).mean().round(2).item()
    0.36
    """
    rng, n = np.random.default_rng(seed), len(features)
    rows = rng.integers(n, size=PAIRS)
    others = (rows + rng.integers(1, n, size=PAIRS)) % n
    squared = (features[rows] - features[others]) ** 2
    whole = squared.sum(axis=1)
    return squared[:, :dimensions].sum(axis=1)[whole > 0] / whole[whole > 0]
