"""Projections of features: one learned from the train part for retrieval, one to look at."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from retrieval.progress import bar

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline
    from tqdm import tqdm

ITERATIONS = 1000  # of t-SNE, scikit-learn's default


def discriminant(*, shrinkage: float) -> Pipeline:
    """Linear discriminant analysis of unit rows around their mean, the result again at unit length.

    Of C categories it finds the C - 1 directions (or dim, if that is less) in which their means are
    farthest apart, measured by how far images of one category scatter; scaled so that this scatter is
    the same in all directions, Euclidean distance stops counting what images of one category differ
    in anyway (Fisher, "The use of multiple measurements in taxonomic problems", 1936; Hastie,
    Tibshirani and Friedman, "The Elements of Statistical Learning", 2nd ed., section 4.3.3).

    Args:
        shrinkage: share in [0, 1] of a multiple of the identity in the estimated scatter; without
            some of it, directions in which the train images happen not to scatter would count most.

    Returns:
        A scikit-learn pipeline, not fitted yet: `fit(features, categories)` on train, then
        `transform(features)` of `[n, dim]` to unit rows `[n, min(C - 1, dim)]`.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler

    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage)
    return make_pipeline(Normalizer(), StandardScaler(with_std=False), analysis, Normalizer())


def plane(features: np.ndarray, *, seed: int) -> np.ndarray:
    """Features laid out on a plane so that neighbours stay neighbours: a map to look at.

    t-SNE (van der Maaten and Hinton, "Visualizing data using t-SNE", 2008) of the first 50 principal
    components, which makes it faster and changes little. Distances between islands mean little.

    Args:
        features: `[n, dim]`, two rows or more.
        seed: of both steps.

    Returns:
        Points, float32 `[n, 2]`, without a unit.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    reduced = PCA(min(50, *features.shape), random_state=seed).fit_transform(features)
    # A perplexity is a number of neighbours; one component is too few to start from.
    perplexity = max(1, min(30, (len(reduced) - 1) // 3))
    init = "pca" if reduced.shape[1] > 1 else "random"
    # Its threads wait for each other thousands of times: beside other work, two of them took 91 s for
    # 2,752 images, and one 24 s, for the same points.
    with threadpool_limits(1, user_api="openmp"):
        progress = bar(total=ITERATIONS, desc="laying out", unit="iteration")
        layout = TSNE(perplexity=perplexity, init=init, random_state=seed, max_iter=ITERATIONS, verbose=2)
        with progress, redirect_stdout(_Iterations(progress)):
            points = layout.fit_transform(reduced)
            # It may have stopped early.
            progress.total = progress.n
    return points


class _Iterations(StringIO):
    """Reads how far t-SNE is, which it only prints."""

    def __init__(self, progress: tqdm) -> None:
        super().__init__()
        self.progress = progress

    def write(self, text: str) -> int:
        if found := re.match(r"\[t-SNE\] Iteration (\d+)", text):
            self.progress.update(int(found[1]) - self.progress.n)
        return len(text)
