"""LDA and what it is measured by, what validation chooses, expanded queries, queries that are missed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pictures import fails
from scipy.special import softmax

from retrieval.data.parts import PARTS, Part
from retrieval.evaluation import intervals
from retrieval.evaluation.results import Measured
from retrieval.evaluation.scoring import score
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


def test_features_of_encoders_are_joined_part_by_part() -> None:
    parts = drawn()
    after_lda = stronger_encoder.with_lda(parts, shrinkage=0.1)
    all_three = stronger_encoder.joined(parts, after_lda, parts)
    assert [each.features.shape for each in all_three.values()] == [(30, 7)] * 3
    np.testing.assert_array_equal(all_three["val"].features[:, :3], parts["val"].features)
    np.testing.assert_array_equal(all_three["val"].features[:, 3], after_lda["val"].features[:, 0])


def test_cosines_to_proxies_by_hand() -> None:
    parts = dict.fromkeys(PARTS, part([[0.6, 0.8], [1, 0]], "ab"))
    cosines = stronger_encoder.with_cosines(parts, np.array([[0.0, 1.0], [0.8, 0.6]]))
    expected = [np.array([0.8, 0.96]) / np.hypot(0.8, 0.96), [0, 1]]
    np.testing.assert_allclose(cosines["test"].features, expected, atol=1e-6)


def test_a_classifier_of_proxies_ranks_by_the_probability_of_a_label() -> None:
    parts = dict.fromkeys(PARTS, part([[0.6, 0.8], [1, 0]], "ab"))
    ranked = stronger_encoder.with_classifier(parts, np.array([[0.0, 1.0], [0.8, 0.6]]), scale=10.0)
    np.testing.assert_array_equal(ranked["train"].features, np.eye(2))
    np.testing.assert_allclose(ranked["val"].features, softmax([[8, 9.6], [0, 8]], axis=1), atol=1e-6)


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
    chosen, parts, tried = stronger_encoder.choose({}, lambda _, value: candidates[value], candidates)
    assert chosen == 0.2  # the first of equals
    assert parts is candidates[0.2] and tried.to_dict() == {0.1: 0.5, 0.2: 1, 0.3: 1}


def test_a_gain_in_the_fourth_digit_is_a_tie() -> None:
    places, query = [[float(place)] for place in range(1600)], part([[0.0]], "a")
    # Average precision is (1 + 2 / 1600) / 2 = 0.500625, or (1 + 2 / 1599) / 2, which is a little more.
    candidates = {
        "first": {"train": part(places, "a" + 1598 * "b" + "a"), "val": query},
        "second": {"train": part(places, "a" + 1597 * "b" + "ab"), "val": query},
    }
    chosen, _, tried = stronger_encoder.choose({}, lambda _, value: candidates[value], candidates)
    assert chosen == "first" and tried["first"] < tried["second"]


def test_whitening_forgets_in_which_direction_images_scatter_most() -> None:
    parts = drawn()
    white = stronger_encoder.with_pca(parts, 2)
    centred = parts["train"].features - parts["train"].features.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
    for name, each in white.items():
        slow = (parts[name].features - parts["train"].features.mean(axis=0)) @ directions.T
        slow /= (centred @ directions.T).std(axis=0, ddof=1)
        slow /= np.linalg.norm(slow, axis=1, keepdims=True)
        # The sign of a direction is nobody's choice.
        np.testing.assert_allclose(np.abs(each.features), np.abs(slow), atol=1e-4)
    few = parts | {"train": parts["train"].take(np.arange(3))}
    assert stronger_encoder.with_pca(few, 64)["test"].features.shape == (30, 2)


def test_a_classifier_ranks_the_gallery_by_the_probability_of_each_label() -> None:
    parts = drawn()
    for ranked in (
        stronger_encoder.with_logistic_regression(parts, 1.0),
        stronger_encoder.with_class_means(parts),
    ):
        np.testing.assert_array_equal(ranked["train"].features[:2], [[1, 0], [0, 1]])  # of an a and a b
        probabilities = ranked["test"].features
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
        # All 15 images of the more probable category come first, so a query is all right or gets
        # the mean of 1 / 16, 2 / 17, ...
        right = probabilities.argmax(axis=1) == (parts["test"].categories == "b")
        wrong = np.mean([place / (15 + place) for place in range(1, 16)])
        found = score(ranked["train"], ranked["test"])
        np.testing.assert_allclose(found.average_precision, np.where(right, 1, wrong))


def test_regularisation_makes_logistic_regression_less_certain() -> None:
    certain, cautious = (
        stronger_encoder.with_logistic_regression(drawn(), c)["val"].features.max(axis=1) for c in (10, 0.01)
    )
    assert certain.mean() > cautious.mean() + 0.1


def test_the_nearest_class_mean_is_the_most_probable() -> None:
    train = part([[0, 0], [2, 0], [0, 3]], "aab")  # the means are (1, 0) and (0, 3)
    ranked = stronger_encoder.with_class_means({"train": train, "val": part([[1, 1]], "a")})
    np.testing.assert_allclose(ranked["val"].features, [softmax([-1.0, -5.0])], atol=1e-6)


def test_evidence_is_empty_where_nothing_is_known() -> None:
    parts = {"val": part([[0.0], [1.0]], "ab"), "test": part([[0.1], [0.2]], "ab")}
    train = pd.Series({"first": 0.9, "second": 0.8})
    table = stronger_encoder.evidence({"first": parts}, train, {"second": 0.7})
    assert table.columns.tolist() == ["train", "validation", "unseen categories"]
    assert table.fillna(-1).to_numpy().tolist() == [[0.9, 0.75, -1], [0.8, -1, 0.7]]
    assert stronger_encoder.evidence({}, train, {})["unseen categories"].isna().all()


def test_missed_queries_find_nothing_of_their_category() -> None:
    gallery = part([[0], [1], [2], [10], [11], [12]], "aaabbc")
    queries = part([[0.9], [1.1], [10.9], [11.9]], "bacc")
    missed = stronger_encoder.missed(gallery, queries, k=2)
    assert missed[["file", "category", "found"]].to_numpy().tolist() == [["b/0", "b", "a"], ["c/2", "c", "b"]]
    np.testing.assert_allclose(missed.distance, [0.5, 0.5], atol=1e-6)
    both = stronger_encoder.missed(gallery, part([[11.6]], "a"), k=2)
    assert both.found.tolist() == [""]


def test_a_verdict_that_rests_on_one_training_is_withdrawn() -> None:
    def measured(precision: float, category: str = "a") -> Measured:
        columns = {"precision_at_3": precision, "average_precision": precision, "nmrr": 1 - precision}
        table = pd.DataFrame({"file": list("abcd"), "group": range(4), **columns})
        report = pd.DataFrame({"f1": [0.5, 0.9]}, index=[category, "z"])
        return Measured(table, report, (precision, 0.1, 0.9))

    first = {"plain": measured(0.5), "trained": measured(0.6, "b"), "LDA": measured(0.8)}
    against = {"trained": "plain", "LDA": "trained"}
    table = stronger_encoder.ablation(first, {"trained": measured(0.4)}, against, seed=0)
    assert table["P@3 verdict"].tolist()[1:] == [intervals.DISAGREE, "better"]
    assert table["P@3"].tolist() == [0.5, 0.6, 0.8]
    assert table["P@3 difference"]["trained"] == pytest.approx(0.1)
    np.testing.assert_array_equal(table["mAP again"], [np.nan, 0.4, np.nan])
    assert table["worst F1"].tolist() == [0.5, 0.6, 0.8] and table["worst category"].tolist() == list("aba")
    assert set(stronger_encoder.SHOWN) <= set(table.columns)
