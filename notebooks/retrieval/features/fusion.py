"""Features of two encoders as one, so that one Euclidean search uses both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrieval.evaluation.metrics import evaluate
from retrieval.features.normalising import l2_normalise
from retrieval.progress import passing_bar
from retrieval.search.neighbours import rank_blocks

if TYPE_CHECKING:
    import pandas as pd


# Features of the images of a part from two encoders, [n, d1] and [n, d2].
Pair = tuple[np.ndarray, np.ndarray]


def concatenate(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Corresponding rows joined: float32 `[n, d1 + d2]`, C-contiguous, of `[n, d1]` and `[n, d2]`.

    Raises:
        ValueError: one has more rows than the other.

    >>> concatenate(np.array([[1.0], [2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]))
    array([[1., 3., 4.],
           [2., 5., 6.]], dtype=float32)
    """
    return np.ascontiguousarray(np.concatenate((first, second), axis=1), dtype=np.float32)


def weighted(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Both features with a say of `weight` and `1 - weight`.

    Rows are scaled to unit length, then by the root of their share, so that squared distances are
    the weighted mean of those in either part,

        ||a - b||^2 = weight ||a1 - b1||^2 + (1 - weight) ||a2 - b2||^2

    and neither part counts for more because its numbers are larger or more numerous.

    Args:
        first: `[n, d1]`.
        second: `[n, d2]`.
        weight: share of the first, in [0, 1].

    Returns:
        float32 `[n, d1 + d2]`, C-contiguous; rows have unit length unless a part is zero.

    Raises:
        ValueError: the weight is not in [0, 1], or one has more rows than the other.

    >>> weighted(np.array([[2.0, 0.0]]), np.array([[5.0]]), 0.64)
    array([[0.8, 0. , 0.6]], dtype=float32)
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight={weight} is not in [0, 1]")
    return concatenate(
        l2_normalise(first) * np.sqrt(weight, dtype=np.float32),
        l2_normalise(second) * np.sqrt(1 - weight, dtype=np.float32),
    )


def weight_curve(
    train: Pair, val: Pair, train_categories: np.ndarray, val_categories: np.ndarray, weights: np.ndarray
) -> pd.DataFrame:
    """How good `weighted` features are, by weight, with validation queries against train.

    Args:
        train: features of both encoders, `[n_train, d1]` and `[n_train, d2]`.
        val: likewise, `[n_val, d1]` and `[n_val, d2]`.
        train_categories: `[n_train]`.
        val_categories: `[n_val]`.
        weights: of the first encoder, each in [0, 1].

    Returns:
        A row per weight, in the order given; columns weight, accuracy, map and anmrr.

    Raises:
        ValueError: as `weighted` and `metrics.evaluate`.
    """
    import pandas as pd

    rows = []
    for weight in passing_bar(weights, "weighing", unit="weight"):
        rankings = rank_blocks(weighted(*train, weight), weighted(*val, weight))
        scores = evaluate(rankings, train_categories, val_categories)
        rows.append((weight, scores.accuracy, scores.map, scores.anmrr))
    return pd.DataFrame(rows, columns=["weight", "accuracy", "map", "anmrr"])


def best_weight(curve: pd.DataFrame) -> float:
    """The weight of highest accuracy among those that cost nothing in ANMRR.

    Fusion that gains in one figure what it loses in the other is a trade, not a gain: only weights
    count whose ANMRR is no worse than that of the better encoder alone, at either end of the curve.

    Args:
        curve: as `weight_curve` gives it, for weights from 0 to 1.

    >>> import pandas as pd
    >>> curve = {"weight": [0, 0.5, 1], "accuracy": [0.90, 0.91, 0.92], "anmrr": [0.20, 0.19, 0.40]}
    >>> best_weight(pd.DataFrame(curve))
    0.5
    """
    alone = curve.anmrr[curve.weight.isin((0, 1))].min()
    allowed = curve[curve.anmrr <= alone]
    return float(allowed.weight[allowed.accuracy.idxmax()])
