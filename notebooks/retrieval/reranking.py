"""Re-ranking: a query, or a row of the index, moves towards its nearest neighbours in the index.

Nobody looks at labels here, and nothing is trained. Neighbours of a neighbour are often relevant even
where they are far from the query, and the mean of a few images is a cleaner example of what they share
than any one of them. All features are rows of unit length; s is their inner product (cosine similarity).
"""

from __future__ import annotations

import numpy as np

from retrieval.fusion import l2_normalise
from retrieval.search import nearest


def expand_queries(queries: np.ndarray, index: np.ndarray, *, k: int, alpha: float) -> np.ndarray:
    """Alpha query expansion: every query plus its k nearest images, weighted by similarity.

        q' = q + sum over the k nearest x of max(s(q, x), 0)^alpha x, at unit length

    (Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", IEEE
    TPAMI 41(7), 2019, section 5.1; with alpha = 0 it is the average query expansion of Chum et al.,
    "Total Recall", ICCV 2007).

    Args:
        queries: unit rows `[n_queries, dim]`.
        index: unit rows `[n_index, dim]`.
        k: neighbours that are added, at most n_index.
        alpha: at least 0; the larger, the less a distant neighbour counts.

    Returns:
        Unit rows, float32 `[n_queries, dim]`.

    Raises:
        ValueError: as `search.nearest`.

    >>> expand_queries(np.array([[1.0, 0.0]]), np.array([[0.6, 0.8], [0.0, 1.0]]), k=1, alpha=1).round(3)
    array([[0.943, 0.333]], dtype=float32)
    """
    return _with_neighbours(queries, index, nearest(index, queries, k, method="exact")[1], alpha)


def augment_database(index: np.ndarray, *, k: int, alpha: float) -> np.ndarray:
    """Database-side augmentation: every image of the index plus its k nearest others, likewise weighted.

    (Turcot and Lowe, "Better matching with fewer features", ICCV Workshops 2009; Gordo et al.,
    "End-to-end Learning of Deep Visual Representations for Image Retrieval", IJCV 124, 2017.)

    Args, returns and raises as `expand_queries`; no image is its own neighbour.

    >>> augment_database(np.array([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]]), k=1, alpha=1).round(3)
    array([[ 0.943,  0.333],
           [ 0.832,  0.555],
           [ 0.   , -1.   ]], dtype=float32)
    """
    positions = nearest(index, index, k, method="exact", exclude_self=True)[1]
    return _with_neighbours(index, index, positions, alpha)


def _with_neighbours(rows: np.ndarray, index: np.ndarray, positions: np.ndarray, alpha: float) -> np.ndarray:
    moved = np.empty_like(rows, dtype=np.float64)
    for number, (row, found) in enumerate(zip(rows, positions, strict=True)):
        neighbours = index[found]
        moved[number] = row + np.maximum(neighbours @ row, 0.0) ** alpha @ neighbours
    return l2_normalise(moved)
