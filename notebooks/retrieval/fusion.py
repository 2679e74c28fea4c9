"""Joining the features of two encoders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retrieval.metrics import evaluate
from retrieval.search import rank_blocks

Pair = tuple[np.ndarray, np.ndarray]


def value_range(features: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest value of a whole array `[n, dim]`.

    Raises:
        ValueError: all values are equal, so that they have no range to be scaled by.
    """
    low, high = float(features.min()), float(features.max())
    if low == high:
        raise ValueError(f"all values are {low}")
    return low, high


def min_max(features: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Features scaled as a whole so that `limits` become 0 and 1.

    The limits are those of the train part, for every part: a query must not change the scale, and
    may lie slightly outside [0, 1].

    Args:
        features: `[n, dim]`.
        limits: as `value_range` gives them.

    Returns:
        float32 `[n, dim]`.

    >>> min_max(np.array([[0.0, 3.0], [6.0, 9.0]]), (0.0, 6.0))
    array([[0. , 0.5],
           [1. , 1.5]], dtype=float32)
    """
    low, high = limits
    return ((features - low) / (high - low)).astype(np.float32)


def l2_normalise(features: np.ndarray) -> np.ndarray:
    """Rows of `[n, dim]` scaled to unit length, float32; rows of zeros stay zero.

    >>> l2_normalise(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def concatenate(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Corresponding rows of `[n, d1]` and `[n, d2]` side by side, float32 `[n, d1 + d2]`.

    Raises:
        ValueError: the arrays have different numbers of rows.
    """
    return np.concatenate([first, second], axis=1, dtype=np.float32)


def weighted(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Unit rows side by side, weighted so that squared distances become a weighted mean.

    With d1 and d2 the distances between the L2-normalised rows of the parts, the squared distance
    of the whole is weight * d1^2 + (1 - weight) * d2^2.

    Args:
        first: `[n, d1]`.
        second: `[n, d2]`.
        weight: of the first, in [0, 1].

    Returns:
        float32 `[n, d1 + d2]`, rows of unit length.

    Raises:
        ValueError: the weight is outside [0, 1], or the numbers of rows differ.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight {weight} is not within [0, 1]")
    return concatenate(
        np.sqrt(weight) * l2_normalise(first),
        np.sqrt(1 - weight) * l2_normalise(second),
    )


def weight_curve(
    train: Pair,
    val: Pair,
    train_categories: np.ndarray,
    val_categories: np.ndarray,
    weights: Sequence[float],
) -> pd.DataFrame:
    """What every weight of `weighted` reaches, validation queries against train.

    Args:
        train: features of both encoders, `[n_train, d1]` and `[n_train, d2]`.
        val: likewise of the validation part.
        train_categories: `[n_train]`.
        val_categories: `[n_val]`.
        weights: of the first encoder, in [0, 1].

    Returns:
        A row per weight: weight, accuracy (precision@3), map, anmrr.
    """
    rows = []
    for weight in weights:
        rankings = rank_blocks(weighted(*train, weight), weighted(*val, weight))
        scores = evaluate(rankings, train_categories, val_categories)
        rows.append((weight, scores.accuracy, scores.map, scores.anmrr))
    return pd.DataFrame(rows, columns=["weight", "accuracy", "map", "anmrr"])
