"""What follows a better encoder: LDA, two encoders joined, query expansion, and what is still wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from retrieval.data.parts import Part
from retrieval.errors import SkippedError
from retrieval.evaluation.scoring import score, score_table
from retrieval.features import lda
from retrieval.features.fusion import concatenate
from retrieval.search.neighbours import nearest
from retrieval.search.reranking import expand_queries

Parts = dict[str, Part]  # by name: train, val and test


def with_lda(parts: Parts, *, shrinkage: float) -> Parts:
    """The parts after LDA that is fitted to train, unit rows `[n, min(C - 1, dim)]` for C categories.

    Args:
        parts: features `[n, dim]`.
        shrinkage: as `lda.fit`.

    Raises:
        SkippedError: the train images of each category have equal features.
    """
    train = parts["train"]
    try:
        fitted = lda.fit(train.features, train.categories, shrinkage=shrinkage)
    except np.linalg.LinAlgError:
        raise SkippedError("LDA finds no scatter: the train images of each category look the same") from None
    return {name: part.with_features(lda.transform(part.features, fitted)) for name, part in parts.items()}


def joined(first: Parts, second: Parts) -> Parts:
    """The parts with the features of two encoders side by side, `[n, d1 + d2]`."""
    return {
        name: part.with_features(concatenate(part.features, second[name].features))
        for name, part in first.items()
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
    return {
        name: part
        if name == "train"
        else part.with_features(expand_queries(part.features, gallery, k=k, alpha=alpha))
        for name, part in parts.items()
    }


def choose(candidates: Mapping[Any, Parts], name: str) -> tuple[Any, pd.DataFrame]:
    """The candidate with the highest mAP of validation queries against train; the first of equals.

    Args:
        candidates: by the value to choose.
        name: what the value is.

    Returns:
        The value, and the measures of all candidates as `scoring.score_table` has them.
    """
    scores = {value: score(parts["train"], parts["val"]) for value, parts in candidates.items()}
    return max(scores, key=lambda value: scores[value].map), score_table(scores, name)


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
