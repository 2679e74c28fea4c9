"""How good a retrieval is: precision, R-precision, average precision, ANMRR, and figures per category.

Rankings come in as what was retrieved, nearest first. An image is relevant to a query if both are
of the same category.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


CUTOFFS = (1, 3, 10)


@dataclass(frozen=True)
class Scores:
    """The metrics of every query, each float64 `[n_queries]` in [0, 1]; precision at 1, 3 and 10."""

    precision: dict[int, np.ndarray]
    average_precision: np.ndarray
    nmrr: np.ndarray
    r_precision: np.ndarray
    average_precision_at_r: np.ndarray

    @property
    def accuracy(self) -> float:
        """The share of all retrieved images, three a query, that are relevant (mean P@3)."""
        return float(self.precision[3].mean())

    @property
    def map(self) -> float:
        """Mean average precision; 1 is perfect."""
        return float(self.average_precision.mean())

    @property
    def anmrr(self) -> float:
        """Average normalised modified retrieval rank; 0 is perfect, 1 is nothing found."""
        return float(self.nmrr.mean())

    @property
    def map_at_r(self) -> float:
        """Mean average precision at R; 1 is perfect."""
        return float(self.average_precision_at_r.mean())


def precision_at(relevant: np.ndarray, k: int) -> np.ndarray:
    """The share of the first k retrieved images that are relevant, float64 `[n_queries]` in [0, 1].

    Args:
        relevant: boolean `[n_queries, >= k]`, nearest first.

    Raises:
        ValueError: fewer than k images were retrieved, or k is less than 1.

    >>> precision_at(np.array([[True, False, True, True]]), 2)
    array([0.5])
    """
    if not 1 <= k <= relevant.shape[1]:
        raise ValueError(f"P@{k} of {relevant.shape[1]} retrieved images is undefined")
    return relevant[:, :k].mean(axis=1)


def average_precision(relevant: np.ndarray) -> np.ndarray:
    """The mean precision at the rank of every relevant image, float64 `[n_queries]` in (0, 1]; 1 is perfect.

    AP(q) = 1 / NG(q) * sum over the relevant ranks r of P@r, without interpolation. NG(q) is the
    number of relevant images (Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008,
    section 8.4).

    Args:
        relevant: boolean `[n_queries, n_index]`, the full ranking, nearest first.

    Raises:
        ValueError: a query has no relevant image, for which the mean is undefined.

    Relevant images at ranks 1 and 4: the mean of 1/1 and 2/4.

    >>> average_precision(np.array([[True, False, False, True]]))
    array([0.75])
    """
    return _average_precision(*_relevant_ranks(relevant))


def r_precision(relevant: np.ndarray) -> np.ndarray:
    """The share of the first R retrieved images that are relevant, float64 `[n_queries]` in [0, 1].

    R(q) is the number of relevant images, so only a ranking that puts all of them first reaches 1 (Musgrave,
    Belongie and Lim, "A metric learning reality check", ECCV 2020, section 3.2).

    Args:
        relevant: boolean `[n_queries, n_index]`, the full ranking, nearest first.

    Raises:
        ValueError: a query has no relevant image.

    Relevant images at ranks 1, 3 and 4: two of the first R = 3.

    >>> r_precision(np.array([[True, False, True, True]])).round(4)
    array([0.6667])
    """
    return _r_precision(*_relevant_ranks(relevant))


def average_precision_at_r(relevant: np.ndarray) -> np.ndarray:
    """Average precision that stops at rank R, float64 `[n_queries]` in [0, 1]; its mean is MAP@R.

        AP@R(q) = 1 / R(q) * sum over the relevant ranks r <= R(q) of P@r

    R(q) is the number of relevant images. What comes after rank R counts as not found, so AP@R is at most
    R-precision, and at most average precision (Musgrave, Belongie and Lim, "A metric learning reality check",
    ECCV 2020, section 3.2).

    Args:
        relevant: boolean `[n_queries, n_index]`, the full ranking, nearest first.

    Raises:
        ValueError: a query has no relevant image.

    Relevant images at ranks 1, 3 and 4: 1/1 and 2/3 count, rank 4 is beyond R = 3.

    >>> average_precision_at_r(np.array([[True, False, True, True]])).round(4)
    array([0.5556])
    """
    return _average_precision_at_r(*_relevant_ranks(relevant))


def nmrr(relevant: np.ndarray, *, ng_max: int) -> np.ndarray:
    """MPEG-7's normalised modified retrieval rank, float64 `[n_queries]` in [0, 1]; 0 is perfect.

        NMRR(q) = (AVR(q) - 0.5 (1 + NG(q))) / (1.25 K(q) - 0.5 (1 + NG(q)))

    NG(q) is the number of relevant images, K(q) = min(4 NG(q), 2 ng_max) the rank up to which they count as
    found, and AVR(q) their mean rank; any rank beyond K(q) counts as 1.25 K(q). 1 means that none is found.
    The mean over queries is ANMRR (Manjunath, Ohm, Vasudevan and Yamada, "Color and texture descriptors",
    IEEE Trans. Circuits and Systems for Video Technology 11(6), 2001).

    Args:
        relevant: boolean `[n_queries, n_index]`, the full ranking, nearest first.
        ng_max: the largest NG over all queries, also of other blocks.

    Raises:
        ValueError: a query has no relevant image, or more than `ng_max`.

    Relevant images at ranks 1 and 5, and ng_max 2: K = min(8, 4) = 4, so rank 5 counts as 5;
    AVR = 3, and (3 - 1.5) / (5 - 1.5) = 3/7.

    >>> nmrr(np.array([[True, False, False, False, True, False]]), ng_max=2).round(4)
    array([0.4286])
    """
    return _nmrr(*_relevant_ranks(relevant), ng_max)


def evaluate(
    rankings: Iterable[np.ndarray], index_categories: np.ndarray, query_categories: np.ndarray
) -> Scores:
    """All metrics, from full rankings that need never be in memory together.

    The rankings are consecutive blocks `[b, n_index]` of positions in the index, as `rank_blocks` yields
    them; the categories are `[n_index]` and `[n_queries]`. Of fewer than 10 images, precision takes all.

    Raises:
        ValueError: a query's category is not in the index, or the rankings do not hold all of the
            index for every query.

    >>> scores = evaluate([np.arange(10)[np.newaxis]], np.array(list("ababbbbbbb")), np.array(["a"]))
    >>> scores.precision[1], scores.precision[10], scores.average_precision.round(4), scores.nmrr.round(4)
    (array([1.]), array([0.2]), array([0.8333]), array([0.1429]))
    """
    codes = np.unique(np.concatenate([index_categories, query_categories]), return_inverse=True)[1]
    index_codes, query_codes = np.split(codes, [len(index_categories)])
    ng_max = np.bincount(index_codes, minlength=len(codes))[query_codes].max()
    blocks, start = [], 0
    for ranking in rankings:
        if ranking.shape[1] != len(index_codes):
            raise ValueError(f"rankings of {ranking.shape[1]} images, not of {len(index_codes)}")
        queried = query_codes[start : start + len(ranking), np.newaxis]
        blocks.append(_score(index_codes[ranking] == queried, ng_max))
        start += len(ranking)
    if start != len(query_codes):
        raise ValueError(f"rankings of {start} queries, not of {len(query_codes)}")
    values = np.concatenate(blocks, axis=1)
    return Scores(dict(zip(CUTOFFS, values, strict=False)), *values[len(CUTOFFS) :])


def category_report(query_categories: np.ndarray, retrieved_categories: np.ndarray) -> pd.DataFrame:
    """Precision, recall and F1 of each category, over all pairs of a query and a retrieved image.

    A pair is right if both are of one category. Of a category's pairs, precision is the share of right ones
    among those retrieved from it, recall the share among those queried with it. Queries have the categories
    `[n_queries]`, what was retrieved for them `[n_queries, k]`. There is a row per category that was
    queried, best F1 first, then by name. F1 is 0 if it is undefined.

    >>> retrieved = np.array([["cat", "cat"], ["cat", "dog"]])
    >>> category_report(np.array(["cat", "dog"]), retrieved).round(2)  # doctest: +NORMALIZE_WHITESPACE
              precision  recall    f1  queries
    category
    cat            0.67     1.0  0.80        1
    dog            1.00     0.5  0.67        1
    """
    import pandas as pd
    from sklearn.metrics import precision_recall_fscore_support

    names, queries = np.unique(query_categories, return_counts=True)
    pairs = _pairs(query_categories, retrieved_categories)
    precision, recall, f1, _ = precision_recall_fscore_support(*pairs, labels=names, zero_division=0.0)
    columns = {"precision": precision, "recall": recall, "f1": f1, "queries": queries}
    report = pd.DataFrame(columns, index=pd.Index(names, name="category"))
    return report.sort_values("f1", ascending=False, kind="stable")


def confusion(query_categories: np.ndarray, retrieved_categories: np.ndarray) -> pd.DataFrame:
    """How many images of each category (columns) were retrieved for queries of each (rows).

    From the pairs of `category_report`. Rows are the categories that were queried, columns those that were
    queried or retrieved, both by name.

    >>> retrieved = np.array([["cat", "cat"], ["cat", "dog"]])
    >>> confusion(np.array(["cat", "dog"]), retrieved)  # doctest: +NORMALIZE_WHITESPACE
    retrieved  cat  dog
    query
    cat          2    0
    dog          1    1
    """
    import pandas as pd

    queried, retrieved = _pairs(query_categories, retrieved_categories)
    names = pd.Index(np.union1d(queried, retrieved), name="retrieved")
    counts = pd.crosstab(queried, retrieved, rownames=["query"])
    return counts.reindex(columns=names, fill_value=0)


def confusion_shares(counts: pd.DataFrame, queried: Sequence[str], *, least: float = 0.03) -> pd.DataFrame:
    """The rows of `confusion` of the queried categories, as shares, without columns below `least` in all."""
    shares = counts.loc[list(queried)]
    shares = shares.div(shares.sum(axis=1), axis=0)
    return shares.loc[:, (shares >= least).any()]


def _relevant_ranks(relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and rank (from 1) of every relevant image, `[n]`, and how many each row has, `[n_queries]`."""
    ng = relevant.sum(axis=1)
    if not ng.all():
        raise ValueError(f"{(ng == 0).sum()} queries have no relevant image, the first at row {ng.argmin()}")
    # As np.nonzero, which takes four times as long in two dimensions.
    rows, columns = np.divmod(np.flatnonzero(relevant), relevant.shape[1])
    return rows, columns + 1, ng


def _score(relevant: np.ndarray, ng_max: int) -> np.ndarray:
    """A row per metric, in the order of `Scores`; the relevant ranks, which take the time, are found once."""
    precision = [precision_at(relevant, min(k, relevant.shape[1])) for k in CUTOFFS]
    ranked = _relevant_ranks(relevant)
    ap, modified_rank = _average_precision(*ranked), _nmrr(*ranked, ng_max)
    return np.stack([*precision, ap, modified_rank, _r_precision(*ranked), _average_precision_at_r(*ranked)])


def _average_precision(rows: np.ndarray, ranks: np.ndarray, ng: np.ndarray) -> np.ndarray:
    return np.bincount(rows, _precision_at_ranks(rows, ranks, ng)) / ng


def _average_precision_at_r(rows: np.ndarray, ranks: np.ndarray, ng: np.ndarray) -> np.ndarray:
    return np.bincount(rows, _precision_at_ranks(rows, ranks, ng) * (ranks <= ng[rows])) / ng


def _r_precision(rows: np.ndarray, ranks: np.ndarray, ng: np.ndarray) -> np.ndarray:
    return np.bincount(rows, ranks <= ng[rows]) / ng


def _nmrr(rows: np.ndarray, ranks: np.ndarray, ng: np.ndarray, ng_max: int) -> np.ndarray:
    if (ng > ng_max).any():
        raise ValueError(f"a query has {ng.max()} relevant images, more than ng_max={ng_max}")
    limit = np.minimum(4 * ng, 2 * ng_max)
    counted = np.where(ranks <= limit[rows], ranks, 1.25 * limit[rows])
    best = 0.5 * (1 + ng)
    return (np.bincount(rows, counted) / ng - best) / (1.25 * limit - best)


def _precision_at_ranks(rows: np.ndarray, ranks: np.ndarray, ng: np.ndarray) -> np.ndarray:
    """Precision at the rank of every relevant image, `[n]`."""
    before = np.cumsum(ng) - ng
    return (np.arange(1, len(rows) + 1) - before[rows]) / ranks


def _pairs(query_categories: np.ndarray, retrieved_categories: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(query_categories, retrieved_categories.shape[1]), retrieved_categories.ravel()
