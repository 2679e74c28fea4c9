"""How good a ranking is: precision@k, average precision, NMRR, and what they say of each category.

A ranking is given as a boolean array `relevant`, a row per query and a column per rank, true where
the image at that rank is of the query's category.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

CUTOFFS = (1, 3, 10)
K = 3  # of the accuracy that the original reports


@dataclass(frozen=True)
class Scores:
    """The metrics of every query.

    Attributes:
        precision: precision@k, float64 `[n_queries]` in [0, 1], by k.
        average_precision: float64 `[n_queries]` in [0, 1].
        nmrr: float64 `[n_queries]` in [0, 1], 0 is best.
    """

    precision: dict[int, np.ndarray]
    average_precision: np.ndarray
    nmrr: np.ndarray

    @property
    def accuracy(self) -> float:
        """Mean precision@3: the share of all retrieved images that are right."""
        return float(self.precision[K].mean())

    @property
    def map(self) -> float:
        """Mean average precision."""
        return float(self.average_precision.mean())

    @property
    def anmrr(self) -> float:
        """Mean NMRR: 0 is perfect, 1 means that nothing was found."""
        return float(self.nmrr.mean())


def precision_at(relevant: np.ndarray, k: int) -> np.ndarray:
    """The share of the first k that are relevant.

    Args:
        relevant: bool `[n_queries, n]`, in order of rank; where n < k, the n there are count.
        k: the cut-off.

    Returns:
        float64 `[n_queries]` in [0, 1].

    >>> precision_at(np.array([[True, False, True], [False, False, True]]), 2)
    array([0.5, 0. ])
    """
    return relevant[:, :k].mean(axis=1)


def average_precision(relevant: np.ndarray) -> np.ndarray:
    """The mean, over the relevant images of a full ranking, of the precision at each one's rank.

    Args:
        relevant: bool `[n_queries, n_index]`, with a relevant image in every row.

    Returns:
        float64 `[n_queries]` in (0, 1].

    Raises:
        ValueError: a query has no relevant image.

    >>> average_precision(np.array([[True, False, True]])).round(4)  # (1/1 + 2/3) / 2
    array([0.8333])
    """
    found = np.cumsum(relevant, axis=1)
    ranks = np.arange(1, relevant.shape[1] + 1)
    return (relevant * (found / ranks)).sum(axis=1) / _relevant_counts(relevant)


def nmrr(relevant: np.ndarray, *, ng_max: int) -> np.ndarray:
    """MPEG-7's normalised modified retrieval rank of full rankings.

    With NG relevant images in the index, the first K = min(4 NG, 2 ng_max) ranks count, a relevant
    image beyond them has rank 1.25 K, AVR is the mean rank of the relevant images, and

        NMRR = (AVR - (1 + NG) / 2) / (1.25 K - (1 + NG) / 2)

    Source: Manjunath, Ohm, Vasudevan and Yamada, "Color and texture descriptors", IEEE TCSVT 2001.

    Args:
        relevant: bool `[n_queries, n_index]`, with a relevant image in every row.
        ng_max: the largest NG among all queries, not only those given here.

    Returns:
        float64 `[n_queries]` in [0, 1]: 0 where all relevant images come first, 1 where none is
        among the first K.

    Raises:
        ValueError: a query has no relevant image.

    Two relevant images at ranks 1 and 4: K = 4, AVR = 2.5, (2.5 - 1.5) / (5 - 1.5).

    >>> nmrr(np.array([[True, False, False, True, False]]), ng_max=2).round(4)
    array([0.2857])
    """
    ng = _relevant_counts(relevant)
    k = np.minimum(4 * ng, 2 * ng_max)
    ranks = np.arange(1, relevant.shape[1] + 1)
    counted = np.where(ranks <= k[:, np.newaxis], ranks, 1.25 * k[:, np.newaxis])
    average_rank = (counted * relevant).sum(axis=1) / ng
    best = 0.5 * (1 + ng)
    return (average_rank - best) / (1.25 * k - best)


def evaluate(
    rankings: Iterable[np.ndarray], index_categories: np.ndarray, query_categories: np.ndarray
) -> Scores:
    """All metrics of full rankings, one block of them in memory at a time.

    Args:
        rankings: blocks of positions in the index, `[b, n_index]`, as `search.rank_blocks` gives
            them, together a row per query.
        index_categories: `[n_index]`.
        query_categories: `[n_queries]`, each of which occurs in the index.

    Raises:
        ValueError: a query's category is not in the index.
    """
    names, counts = np.unique(index_categories, return_counts=True)
    ng_max = int(counts[np.isin(names, query_categories)].max(initial=0))
    precision, average, rank, start = {k: [] for k in CUTOFFS}, [], [], 0
    for positions in rankings:
        own = query_categories[start : start + len(positions), np.newaxis]
        relevant = index_categories[positions] == own
        for k in CUTOFFS:
            precision[k].append(precision_at(relevant, k))
        average.append(average_precision(relevant))
        rank.append(nmrr(relevant, ng_max=ng_max))
        start += len(positions)
    by_cutoff = {k: np.concatenate(values) for k, values in precision.items()}
    return Scores(by_cutoff, np.concatenate(average), np.concatenate(rank))


def category_report(query_categories: np.ndarray, retrieved_categories: np.ndarray) -> pd.DataFrame:
    """Precision, recall and F1 of every category, best F1 first.

    All are counted over the list of pairs (query category, retrieved category): recall is the share
    of what a category's queries retrieved that is of the category, precision the share of what was
    retrieved of the category that its own queries retrieved.

    Args:
        query_categories: `[n]`.
        retrieved_categories: of the k images retrieved for each, `[n, k]`.

    Returns:
        Index category; columns precision, recall and f1 in [0, 1], and queries, how many.

    >>> category_report(np.array(["seal", "yak"]), np.array([["seal", "yak"], ["yak", "yak"]])).round(2)
    ... # doctest: +NORMALIZE_WHITESPACE
              precision  recall    f1  queries
    category
    yak            0.67     1.0  0.80        1
    seal           1.00     0.5  0.67        1
    """
    counts = confusion(query_categories, retrieved_categories)
    categories = counts.index.union(counts.columns, sort=True)
    counts = counts.reindex(index=categories, columns=categories, fill_value=0)
    right, asked, given = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    report = pd.DataFrame(
        {
            "precision": right / given.clip(lower=1),
            "recall": right / asked.clip(lower=1),
            "f1": 2 * right / (asked + given),
            "queries": asked // retrieved_categories.shape[1],
        }
    )
    return report.rename_axis("category").sort_values("f1", ascending=False, kind="stable")


def confusion(query_categories: np.ndarray, retrieved_categories: np.ndarray) -> pd.DataFrame:
    """How often queries of a category (rows) retrieved images of a category (columns).

    Args:
        query_categories: `[n]`.
        retrieved_categories: `[n, k]`.
    """
    asked = np.repeat(query_categories, retrieved_categories.shape[1])
    return pd.crosstab(
        pd.Series(asked, name="query"), pd.Series(retrieved_categories.ravel(), name="retrieved")
    )


def bootstrap_interval(values: np.ndarray, *, seed: int, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean over queries (Efron, 1979; 10,000 resamples).

    Args:
        values: of a metric, one per query, `[n]`, n > 1.
        seed: of the resampling.
        confidence: of the interval, in (0, 1).
    """
    resampled = bootstrap(
        (values,),
        np.mean,
        n_resamples=10_000,
        batch=500,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(resampled.confidence_interval.low), float(resampled.confidence_interval.high)


def _relevant_counts(relevant: np.ndarray) -> np.ndarray:
    counts = relevant.sum(axis=1)
    if (counts == 0).any():
        raise ValueError("a query has no relevant image in the index")
    return counts
