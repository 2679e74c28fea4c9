"""Projections of features: one learned from the train part for retrieval, one to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def linear_discriminant(*, shrinkage: float) -> Pipeline:
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
