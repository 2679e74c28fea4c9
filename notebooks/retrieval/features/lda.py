"""LDA: features transformed so that images of one category lie close together, learned from train."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def linear_discriminant(*, shrinkage: float) -> Pipeline:
    """LDA (linear discriminant analysis) of unit rows around their mean, a scikit-learn pipeline, not fitted.

    For C categories, LDA finds the C - 1 directions (or dim, if that is less) in which the category means
    are farthest apart relative to the scatter of the images around them. It scales the directions until
    the scatter is the same in all of them. Euclidean distance then ignores the ways in which images of one
    category differ anyway (Fisher, "The use of multiple measurements in taxonomic problems", 1936; Hastie,
    Tibshirani and Friedman, "The Elements of Statistical Learning", 2nd ed., section 4.3.3).

    `shrinkage` is the share in [0, 1] of a multiple of the identity in the estimated scatter. Without it, the
    directions in which the train images happen not to scatter would count most. After
    `fit(features, categories)` on train, `transform(features)` of `[n, dim]` gives unit rows
    `[n, min(C - 1, dim)]`.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler

    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage)
    return make_pipeline(Normalizer(), StandardScaler(with_std=False), analysis, Normalizer())
