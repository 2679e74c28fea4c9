"""Queries that the gallery has nothing like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.data.images import load_image
from retrieval.data.parts import Part
from retrieval.studies import out_of_distribution


def test_a_category_left_out_is_not_found_in_itself() -> None:
    gallery = Part(
        np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), np.array([*"abc"]), np.array([*"123"]), np.arange(3)
    )
    found = out_of_distribution.to_other_categories(gallery, gallery, k=2)
    np.testing.assert_allclose(found, np.sqrt([[2, 4], [2, 2], [2, 4]]))


def test_each_depth_is_measured_with_and_without_the_category_of_a_query() -> None:
    rng = np.random.default_rng(2)
    codes = np.tile(np.arange(4), 12)
    features = rng.normal(size=(4, 3))[codes] + 0.3 * rng.normal(size=(48, 3))
    images = Part(features, np.array([*"abcd"])[codes], codes.astype(str), np.arange(48))
    gallery, queries = images.take(np.arange(36)), images.take(np.arange(36, 48))
    found = out_of_distribution.by_depth(gallery, queries)
    assert found.index.tolist() == [1, 5, 10, 20]  # a category has 9 of 36 images: there are no 50 others
    distances = np.linalg.norm(queries.features[:, np.newaxis] - gallery.features, axis=2)
    others = np.where(gallery.categories == queries.categories[:, np.newaxis], np.inf, distances)
    for k, row in found.iterrows():
        inside, outside = (np.sort(each, axis=1)[:, k - 1] for each in (distances, others))
        expected = (f(inside, outside) for f in (out_of_distribution.auroc, out_of_distribution.fpr95))
        assert pytest.approx(tuple(expected)) == (row.AUROC, row.FPR95)


@given(*[st.lists(st.integers(0, 9), min_size=1, max_size=40)] * 2)
def test_fpr95_is_that_of_the_least_limit_that_keeps_95_percent(inside, outside):
    kept = [limit for limit in range(10) if 20 * sum(each <= limit for each in inside) >= 19 * len(inside)]
    expected = sum(each <= kept[0] for each in outside) / len(outside)
    assert out_of_distribution.fpr95(np.array(inside), np.array(outside)) == expected


def test_perfect_and_reversed_distances_have_the_extreme_figures() -> None:
    near, far = np.arange(20.0), np.arange(20.0) + 20
    table = out_of_distribution.separation({"perfect": (near, far), "reversed": (far, near)})
    assert table.to_dict("index") == {
        "perfect": {"AUROC": 1, "FPR95": 0},
        "reversed": {"AUROC": 0, "FPR95": 1},
    }


def test_pictures_unlike_photographs_are_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out_of_distribution, "PICTURES", 3)

    def pixels(content: bytes) -> np.ndarray:
        return load_image(content, 64)

    with_drawings, described = (
        out_of_distribution.describe_unlike(pixels, drawings=drawings, seed=5) for drawings in (True, False)
    )
    assert list(with_drawings) == [*described, "drawings"]
    colours = {}
    for kind, images in described.items():
        assert images.shape == (3, 64, 64, 3) and len(np.unique(images, axis=0)) > 1
        np.testing.assert_array_equal(images, with_drawings[kind])
        colours[kind] = [len(np.unique(each.reshape(-1, 3), axis=0)) for each in images]
    assert colours["plain colours"] == [1] * 3
    assert min(colours["noise"]) > min(colours["colour gradients"]) > 1
