"""LDA over parts, what validation chooses, expanded queries, and the queries that are missed."""

from __future__ import annotations

import numpy as np
from pictures import fails

from retrieval.data.parts import PARTS, Part
from retrieval.studies import stronger_encoder


def part(features: list[list[float]], categories: str) -> Part:
    files = np.array([f"{category}/{row}" for row, category in enumerate(categories)])
    return Part(np.array(features, np.float32), np.array([*categories]), files, np.arange(len(files)))


def drawn() -> dict[str, Part]:
    """Two categories that differ in the second of three dimensions, and scatter most in the first."""
    rng = np.random.default_rng(0)
    parts = {}
    for name in PARTS:
        features = rng.normal(size=(30, 3)) * [5, 0.3, 0.3] + [20, 0, 0]
        features[::2, 1] += 2
        parts[name] = part(features.tolist(), "ab" * 15)
    return parts


def test_lda_is_fitted_to_train_and_applied_to_every_part() -> None:
    parts = drawn()
    transformed = stronger_encoder.with_lda(parts, shrinkage=0.1)
    other = stronger_encoder.with_lda(parts | {"val": parts["val"].take(np.arange(3))}, shrinkage=0.1)
    np.testing.assert_array_equal(other["test"].features, transformed["test"].features)
    for name, each in transformed.items():
        assert each.features.shape == (30, 1) and each.features.dtype == np.float32
        assert each.files is parts[name].files
        signs = np.sign(each.features[:, 0])
        assert (signs == np.where(each.categories == "a", signs[0], -signs[0])).mean() > 0.9


def test_categories_without_scatter_are_told_in_a_line() -> None:
    parts = dict.fromkeys(PARTS, part([[1, 0], [1, 0], [0, 1], [0, 1]], "aabb"))
    fails(lambda: stronger_encoder.with_lda(parts, shrinkage=0.1), "no scatter")


def test_features_of_two_encoders_are_joined_part_by_part() -> None:
    parts = drawn()
    both = stronger_encoder.joined(parts, stronger_encoder.with_lda(parts, shrinkage=0.1))
    assert [each.features.shape for each in both.values()] == [(30, 4)] * 3
    np.testing.assert_array_equal(both["val"].features[:, :3], parts["val"].features)


def test_only_queries_are_expanded() -> None:
    parts = {
        "train": part([[1, 0], [0, 1]], "ab"),
        "val": part([[0.6, 0.8]], "b"),
        "test": part([[0.8, 0.6]], "a"),
    }
    moved = stronger_encoder.expanded(parts, k=1, alpha=1)
    assert moved["train"] is parts["train"]
    assert moved["val"].features[0, 1] > 0.8 and moved["test"].features[0, 0] > 0.8
    assert stronger_encoder.expanded(parts, k=0, alpha=1) is parts


def test_validation_chooses_and_test_has_no_say() -> None:
    right = part([[0.0], [1.0]], "ab")
    wrong = part([[1.0], [0.0]], "ab")
    candidates = {
        0.1: {"train": right, "val": wrong, "test": right},
        0.2: {"train": right, "val": right, "test": wrong},
        0.3: {"train": right, "val": right, "test": right},
    }
    chosen, tried = stronger_encoder.choose(candidates, "shrinkage")
    assert chosen == 0.2  # the first of equals
    assert tried.index.name == "shrinkage" and tried["mAP"].tolist() == [0.5, 1, 1]


def test_missed_queries_find_nothing_of_their_category() -> None:
    gallery = part([[0], [1], [2], [10], [11], [12]], "aaabbc")
    queries = part([[0.9], [1.1], [10.9], [11.9]], "bacc")
    missed = stronger_encoder.missed(gallery, queries, k=2)
    assert missed[["file", "category", "found"]].to_numpy().tolist() == [["b/0", "b", "a"], ["c/2", "c", "b"]]
    np.testing.assert_allclose(missed.distance, [0.5, 0.5], atol=1e-6)
    both = stronger_encoder.missed(gallery, part([[11.6]], "a"), k=2)
    assert both.found.tolist() == [""]
