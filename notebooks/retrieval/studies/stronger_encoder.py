"""What follows a better encoder: LDA, encoders joined, query expansion, and what is still wrong.

Beside them, what LDA is to be measured by: PCA whitening, which knows no categories, and two classifiers,
which know those of the gallery. All are `Parts` for the same ranking by Euclidean distance.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from retrieval.data.parts import Part
from retrieval.errors import SkippedError
from retrieval.evaluation import intervals
from retrieval.evaluation.results import Measured
from retrieval.evaluation.scoring import score
from retrieval.features import lda
from retrieval.features.normalising import l2_normalise
from retrieval.progress import bar
from retrieval.search.neighbours import nearest
from retrieval.search.reranking import expand_queries

Parts = dict[str, Part]  # by name: train, val and test

# What `choose` chooses from, the most regularised first.
SHRINKAGES = (0.4, 0.15, 0.05, 0.02, 0.01, 0.001)  # of LDA
DIMENSIONS = (16, 32, 64, 128)  # of PCA whitening
CS = (1, 3, 10, 30, 100)  # of logistic regression
# Columns of `ablation`.
WORST = ["worst F1", "worst F1 low", "worst F1 high"]
AGAIN = {measure: f"{measure} again" for measure in intervals.MEASURES}
SHOWN = ["against", *intervals.MEASURES, *AGAIN.values(), *WORST, "worst category"]


def with_lda(parts: Parts, shrinkage: float) -> Parts:
    """The parts after LDA that is fitted to train, unit rows `[n, min(C - 1, dim)]` for C categories.

    Raises:
        SkippedError: the train images of each category have equal features.
    """
    train = parts["train"]
    try:
        fitted = lda.fit(train.features, train.categories, shrinkage=shrinkage)
    except np.linalg.LinAlgError:
        raise SkippedError("LDA finds no scatter: the train images of each category look the same") from None
    return {name: part.with_features(lda.transform(part.features, fitted)) for name, part in parts.items()}


def with_pca(parts: Parts, dimensions: int) -> Parts:
    """The parts after PCA whitening that is fitted to train, unit rows `[n, dimensions]`.

    The directions in which the train images scatter most, each scaled to the same scatter (Jegou and Chum,
    "Negative evidences and co-occurences in image retrieval", ECCV 2012). LDA, too, scales a few directions,
    but knows the categories. The parts are unit rows `[n, dim]`; n images leave at most n - 1 dimensions.
    """
    from sklearn.decomposition import PCA

    train = parts["train"].features
    kept = min(dimensions, len(train) - 1, train.shape[1])
    pca = PCA(kept, whiten=True, svd_solver="covariance_eigh").fit(train)
    return {
        name: part.with_features(l2_normalise(pca.transform(part.features))) for name, part in parts.items()
    }


def with_logistic_regression(parts: Parts, c: float) -> Parts:
    """The probability of every category, float32 `[n, n_categories]`, by logistic regression fitted to train.

    Train has its labels instead, one-hot. The squared distance of a query p from an image of category i is
    |p|^2 + 1 - 2 p_i, so this gallery is ranked by the probability of each image's label. The parts are unit
    rows `[n, dim]`; c is the inverse strength of the regularisation.
    """
    from sklearn.linear_model import LogisticRegression

    train = parts["train"]
    model = LogisticRegression(C=c, max_iter=1000).fit(train.features, train.categories)
    return _labelled(parts, model.predict_proba)


def with_class_means(parts: Parts) -> Parts:
    """As `with_logistic_regression`, but with the softmax of minus squared distances to the category means.

    The nearest mean is the most probable (Mensink et al., "Distance-Based Image Classification", IEEE TPAMI
    35(11), 2013, with the identity as metric). Nothing is left to choose.
    """
    from scipy.spatial.distance import cdist
    from scipy.special import softmax

    train = parts["train"]
    means = [train.features[train.categories == name].mean(axis=0) for name in np.unique(train.categories)]
    return _labelled(parts, lambda features: softmax(-cdist(features, means, "sqeuclidean"), axis=1))


def _labelled(parts: Parts, probabilities: Callable[[np.ndarray], np.ndarray]) -> Parts:
    train = parts["train"]
    features = {name: probabilities(part.features) for name, part in parts.items() if name != "train"}
    features["train"] = train.categories[:, np.newaxis] == np.unique(train.categories)
    return {name: part.with_features(features[name].astype(np.float32)) for name, part in parts.items()}


def with_cosines(parts: Parts, proxies: np.ndarray) -> Parts:
    """The cosines to all proxies `[n_categories, dim]`, scaled to unit rows `[n, n_categories]`.

    The parts are unit rows `[n, dim]`.
    """
    return {name: part.with_features(l2_normalise(part.features @ proxies.T)) for name, part in parts.items()}


def with_classifier(parts: Parts, proxies: np.ndarray, *, scale: float) -> Parts:
    """As `with_logistic_regression`, with the probabilities that `proxies.normalised_softmax` trains."""
    from scipy.special import softmax

    return _labelled(parts, lambda features: softmax(scale * features @ proxies.T, axis=1))


def joined(*encoders: Parts) -> Parts:
    """The parts with the features of several encoders side by side, `[n, d1 + d2 + …]`."""
    return {
        name: part.with_features(np.hstack([parts[name].features for parts in encoders]))
        for name, part in encoders[0].items()
    }


def expanded(parts: Parts, *, k: int, alpha: float) -> Parts:
    """The parts with expanded queries: val and test move towards their k nearest images of train.

    Args:
        parts: unit rows `[n, dim]`.
        k: as `reranking.expand_queries`; 0 moves nothing.
        alpha: as `reranking.expand_queries`.
    """
    if not k:
        return parts
    gallery = parts["train"].features
    queries = {name: part for name, part in parts.items() if name != "train"}
    return parts | {
        name: part.with_features(expand_queries(part.features, gallery, k=k, alpha=alpha))
        for name, part in queries.items()
    }


def choose(
    parts: Parts, change: Callable[[Parts, Any], Parts], values: Iterable[Any]
) -> tuple[Any, Parts, pd.Series]:
    """What validation chooses: the highest mAP of its queries against train, to three digits.

    Of equals, the first is chosen. So give the most regularised value first.

    Args:
        parts: what is changed.
        change: gives the parts for a value, such as `with_lda`.
        values: to choose from.

    Returns:
        The value, the parts for it, and the mAP of every value.
    """
    changed = {value: change(parts, value) for value in bar(list(values), "choosing")}
    tried = pd.Series({value: score(each["train"], each["val"]).map for value, each in changed.items()})
    chosen = list(changed)[tried.round(3).argmax()]
    return chosen, changed[chosen], tried


def ablation(
    measured: Mapping[str, Measured], again: Mapping[str, Measured], against: Mapping[str, str], *, seed: int
) -> pd.DataFrame:
    """What every step is worth, as `intervals.ablation`, with verdicts on which two trainings agree.

    Args:
        measured: every step, with the first training.
        again: the steps that rest on one training, with the second in its place. Steps that use both exist
            once, so a verdict on them says nothing about another pair.
        against: the step that each is compared with.
        seed: of the bootstrap.

    Returns:
        Values and intervals are those of the first training. For each measure there is a further column, such
        as "P@3 again", with the value of the second (NaN for all other steps); then worst F1, its low and
        high, and the worst category.
    """
    queries = {step: each.queries for step, each in measured.items()}
    replaced = queries | {step: each.queries for step, each in again.items()}
    table, second = (intervals.ablation(each, against, seed=seed) for each in (queries, replaced))
    both = intervals.agreed([table, second])
    for measure, column in AGAIN.items():
        table[f"{measure} verdict"] = both[f"{measure} verdict"]
        table[column] = second[measure].where(table.index.isin(list(again)))
    table[WORST] = [each.worst for each in measured.values()]
    table["worst category"] = [str(each.categories.f1.idxmin()) for each in measured.values()]
    return table


def evidence(steps: Mapping[str, Parts], train: pd.Series, unseen: Mapping[str, float]) -> pd.DataFrame:
    """The mAP of every step with three kinds of gallery, of which only the first was fitted to.

    Args:
        steps: those that make sense with validation images as gallery.
        train: the mAP of all steps with train images as gallery.
        unseen: the mAP on categories never seen, of the steps for which it is known.

    Returns:
        A row for each step, with the columns train, validation and unseen categories; NaN is unknown.
    """
    validation = {step: score(parts["val"], parts["test"]).map for step, parts in steps.items()}
    columns = {"train": train, "validation": pd.Series(validation), "unseen categories": pd.Series(unseen)}
    return pd.DataFrame(columns, index=train.index, dtype=float)


def missed(gallery: Part, queries: Part, *, k: int) -> pd.DataFrame:
    """The queries without one image of their category among the k nearest, the nearest results first.

    Returns:
        Columns file, category, found (the category of all k results, or "" if they differ) and distance
        (the mean over the k results).
    """
    distances, positions = nearest(gallery.features, queries.features, k, method="exact")
    answers = gallery.categories[positions]
    agreed = (answers == answers[:, :1]).all(axis=1)
    table = pd.DataFrame(
        {
            "file": queries.files,
            "category": queries.categories,
            "found": np.where(agreed, answers[:, 0], ""),
            "distance": distances.mean(axis=1),
        }
    )
    wrong = (answers != queries.categories[:, np.newaxis]).all(axis=1)
    return table[wrong].sort_values("distance", kind="stable", ignore_index=True)
