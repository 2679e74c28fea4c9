"""Features laid out on a plane, and what the map shows in words."""

from typing import Any

import numpy as np
import pandas as pd

from retrieval.search.neighbours import nearest

COMMONEST = 3  # categories that are named as retrieved instead of another


def tsne(features: np.ndarray, *, seed: int) -> np.ndarray:
    """Points on a plane, float32 `[n, 2]`, without a unit: images with similar features lie together.

    t-SNE (van der Maaten and Hinton, "Visualizing data using t-SNE", 2008) of the first 50 principal
    components. PCA first makes it faster and changes little. Distances between islands mean little. If all
    features are equal, so are all points.

    Args:
        features: `[n, dim]`, at least two rows.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if not np.ptp(features, axis=0).any():
        return np.zeros((len(features), 2), np.float32)
    reduced = PCA(min(50, *features.shape), random_state=seed).fit_transform(features)
    # The perplexity is a number of neighbours. A start from PCA needs two components.
    perplexity = max(1, min(30, (len(reduced) - 1) // 3))
    init = "pca" if reduced.shape[1] > 1 else "random"
    # One thread is faster than two on a busy machine (24 s against 91 s for 2,752 images, same points),
    # because the threads wait for each other thousands of times.
    with threadpool_limits(1, user_api="openmp"):
        return TSNE(perplexity=perplexity, init=init, random_state=seed).fit_transform(reduced)


def in_words(counts: pd.DataFrame, points: np.ndarray, categories: np.ndarray) -> list[dict[str, Any]]:
    """What the map and the confusions show, without a picture: a row for every category, by name.

    Args:
        counts: as `metrics.confusion`.
        points: as `tsne`, `[m, 2]`.
        categories: of the points, `[m]`.

    Returns:
        In each row: `category`; `right`, the share of its own images among those retrieved for its queries,
        in [0, 1]; `instead`, the shares of the other categories retrieved most; `beside`, the two categories
        whose centres are nearest.
    """
    names = np.unique(categories)
    centres = np.array([np.median(points[categories == name], axis=0) for name in names])
    _, beside = nearest(centres, centres, 2, method="exact", exclude_self=True)
    rows = []
    for name, others in zip(names, beside, strict=True):
        shares = counts.loc[name] / counts.loc[name].sum()
        instead = shares[shares > 0].drop(name, errors="ignore").nlargest(COMMONEST).to_dict()
        row = {"category": name, "right": shares[name], "instead": instead, "beside": names[others].tolist()}
        rows.append(row)
    return rows
