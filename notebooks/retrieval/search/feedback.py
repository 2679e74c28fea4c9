"""Relevance feedback: what a person judged relevant, and what not, changes the next ranking.

A method is a function of a query `[dim]`, the features of the judged images `[s, dim]` and which of
them were judged relevant, boolean `[s]`. It returns a point `[dim]`: the index is ranked by Euclidean
distance to it. With features of unit length that is the order of the inner product with the point, so
that the weights of a linear classifier are such a point as well as a moved query is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ALPHA, BETA, GAMMA = 1.0, 0.75, 0.15  # weights of the query, the relevant and the irrelevant images

Method = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def rocchio(
    query: np.ndarray,
    judged: np.ndarray,
    relevant: np.ndarray,
    *,
    alpha: float = ALPHA,
    beta: float = BETA,
    gamma: float = GAMMA,
) -> np.ndarray:
    """The query that Rocchio's formula makes of a judged result.

        alpha * query + beta * mean(relevant) - gamma * mean(irrelevant)

    A set without images contributes nothing (Rocchio, "Relevance feedback in information
    retrieval", in "The SMART Retrieval System", 1971; Manning, Raghavan and Schütze, "Introduction
    to Information Retrieval", 2008, section 9.1).

    Args:
        query: features `[dim]`.
        judged: features `[s, dim]` of the images that were judged.
        relevant: which of them were judged relevant, boolean `[s]`.
        alpha: weight of the query.
        beta: weight of the relevant images.
        gamma: weight of the irrelevant ones.

    Returns:
        Features `[dim]`.

    >>> judged = np.array([[0.0, 1.0], [0.0, 3.0], [2.0, 0.0]])
    >>> rocchio(np.array([1.0, 0.0]), judged, np.array([True, True, False]))
    array([0.7, 1.5])
    """
    moved = alpha * query
    if relevant.any():
        moved = moved + beta * judged[relevant].mean(axis=0)
    if not relevant.all():
        moved = moved - gamma * judged[~relevant].mean(axis=0)
    return moved


def linear_classifier(index: np.ndarray, *, shrinkage: float = 10.0) -> Method:
    """A linear classifier of the judged images, for features of unit length.

        w = (I + C / (shrinkage * v))^-1 (positive - negative)

    This is Fisher's linear discriminant. Its covariance C is that of the whole index, of which v is the
    mean variance: a few judged images have no covariance to speak of. `positive` is the mean of the
    query and of what was judged relevant. `negative` is half the mean of what was judged irrelevant, half
    that of the index: mistakes are all near the query, and a classifier of nothing else would not know
    the rest of the index from what was asked for. Without mistakes it is the mean of the index
    (Hariharan, Malik and Ramanan, "Discriminative decorrelation for clustering and classification",
    ECCV 2012).

    Args:
        index: features `[n_index, dim]`; their categories play no part.
        shrinkage: above 0. The larger, the less is made of the covariance; in the end, w is the
            difference of the means.

    Returns:
        A method. Its points are weights w, float64 `[dim]`.

    >>> index = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # C = diag(8/3, 2/3)
    >>> classify = linear_classifier(index, shrinkage=1.0)
    >>> classify(np.array([2.6, 0.4]), np.array([[0.0, -2.0]]), np.array([False])).round(6)
    array([1., 1.])
    """
    centre, covariance = index.mean(axis=0, dtype=np.float64), np.cov(index, rowvar=False, dtype=np.float64)
    scale = shrinkage * covariance.trace() / len(covariance)
    decorrelate = np.linalg.inv(np.eye(len(covariance)) + covariance / scale)

    def classify(query: np.ndarray, judged: np.ndarray, relevant: np.ndarray) -> np.ndarray:
        positive, negative = np.vstack([query, judged[relevant]]).mean(axis=0), centre
        if not relevant.all():
            negative = (centre + judged[~relevant].mean(axis=0)) / 2
        return decorrelate @ (positive - negative)

    return classify
