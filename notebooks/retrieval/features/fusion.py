"""Features of two encoders as one, so that one Euclidean search uses both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrieval.features.normalising import l2_normalise

if TYPE_CHECKING:
    import pandas as pd


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
    """Both features, `[n, d1]` and `[n, d2]`, joined with the weights `weight` and `1 - weight`.

    Rows are scaled to unit length, then by the square root of their weight. A squared distance is then the
    weighted mean of the squared distances in the two parts,

        ||a - b||^2 = weight ||a1 - b1||^2 + (1 - weight) ||a2 - b2||^2

    and neither part counts more because its numbers are larger or because it has more of them. The result is
    float32 `[n, d1 + d2]`, C-contiguous; its rows have unit length unless a part is zero.

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


def best_weight(curve: pd.DataFrame) -> float:
    """The weight with the highest accuracy among the weights that cost nothing in ANMRR.

    A fusion that gains in one figure and loses in the other is a trade, not a gain. A weight counts only if
    its ANMRR is no worse than the ANMRR of the better encoder alone, at one of the two ends of the curve. The
    curve has the columns weight (0 and 1 among them), accuracy and anmrr; the first of equal rows wins.

    >>> import pandas as pd
    >>> curve = {"weight": [0, 0.5, 1], "accuracy": [0.90, 0.91, 0.92], "anmrr": [0.20, 0.19, 0.40]}
    >>> best_weight(pd.DataFrame(curve))
    0.5
    """
    alone = curve.anmrr[curve.weight.isin((0, 1))].min()
    allowed = curve[curve.anmrr <= alone]
    return float(allowed.weight[allowed.accuracy.idxmax()])
