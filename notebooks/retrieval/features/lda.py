"""LDA: features transformed so that images of one category lie close together, learned from train."""

import numpy as np

from retrieval.features.normalising import l2_normalise

# The mean of unit rows, float32 [dim], and the directions, float32 [dim, d].
Lda = tuple[np.ndarray, np.ndarray]


def fit(features: np.ndarray, categories: np.ndarray, *, shrinkage: float) -> Lda:
    """LDA (linear discriminant analysis) of features `[n, dim]` at unit length, around their mean.

    For C categories, LDA finds the C - 1 directions (or dim, if that is less) in which the category means
    are farthest apart relative to the scatter of the images around them. It scales the directions until
    the scatter is the same in all of them. Euclidean distance then ignores the ways in which images of one
    category differ anyway (Fisher, "The use of multiple measurements in taxonomic problems", 1936; Hastie,
    Tibshirani and Friedman, "The Elements of Statistical Learning", 2nd ed., section 4.3.3).

    `shrinkage` is the share in [0, 1] of a multiple of the identity in the estimated scatter. Without it, the
    directions in which the train images happen not to scatter would count most.

    Raises:
        np.linalg.LinAlgError: the images of each category have equal features.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rows = l2_normalise(features)
    mean = rows.mean(axis=0, dtype=np.float64)
    rows, basis, (n, dim) = rows - mean, None, rows.shape
    if n < dim:
        # The directions are combinations of the rows, so n coordinates say it all. In these the mean scatter
        # is larger by dim / n, and shrinkage adds a share of it.
        basis = np.linalg.qr(rows.T)[0]
        rows, share = rows @ basis, shrinkage * n
        shrinkage = share / (share + (1 - shrinkage) * dim)
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage).fit(rows, categories)
    directions = analysis.scalings_[:, : len(analysis.classes_) - 1]
    if basis is not None:
        directions = basis @ directions
    return mean.astype(np.float32), np.ascontiguousarray(directions, np.float32)


def transform(features: np.ndarray, lda: Lda) -> np.ndarray:
    """Unit rows after LDA, float32 `[n, d]`, of features `[n, dim]`.

    >>> transform(np.array([[3.0, 4.0]]), (np.array([0.6, 0.0]), np.array([[1.0], [2.0]])))
    array([[1.]], dtype=float32)
    """
    mean, directions = lda
    return l2_normalise((l2_normalise(features) - mean) @ directions)
