"""Re-ranking: a query moves towards its nearest neighbours in the gallery, and is searched again.

This uses no labels and trains nothing. Neighbours of a neighbour are often relevant even if they are far
from the query. The mean of a few images also shows what they share more clearly than any one of them does.
All features are rows of unit length; s is their inner product (cosine similarity).
"""

import numpy as np

from retrieval.features.normalising import l2_normalise
from retrieval.search.neighbours import nearest


def expand_queries(queries: np.ndarray, index: np.ndarray, *, k: int, alpha: float) -> np.ndarray:
    """Queries moved by alpha query expansion, unit rows, float32 `[n_queries, dim]`.

        q' = q + sum over the k nearest x of max(s(q, x), 0)^alpha x, at unit length

    (Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", IEEE
    TPAMI 41(7), 2019, section 5.1; with alpha = 0 it is the average query expansion of Chum et al.,
    "Total Recall", ICCV 2007). Queries `[n_queries, dim]` and index `[n_index, dim]` are unit rows. The
    larger alpha, at least 0, the less a distant neighbour counts.

    Raises:
        ValueError: k is less than 1, or the dimensions differ.

    >>> expand_queries(np.array([[1.0, 0.0]]), np.array([[0.6, 0.8], [0.0, 1.0]]), k=1, alpha=1).round(3)
    array([[0.943, 0.333]], dtype=float32)
    """
    positions = nearest(index, queries, k, method="exact")[1]
    moved = np.empty_like(queries, dtype=np.float64)
    for number, (query, found) in enumerate(zip(queries, positions, strict=True)):
        neighbours = index[found]
        moved[number] = query + np.maximum(neighbours @ query, 0.0) ** alpha @ neighbours
    return l2_normalise(moved)
