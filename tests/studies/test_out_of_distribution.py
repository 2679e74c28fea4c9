"""Queries that the gallery has nothing like."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.data.images import load_image
from retrieval.data.parts import Part
from retrieval.studies import out_of_distribution


def test_a_category_left_out_is_not_found_in_itself() -> None:
    gallery = Part(
        np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), np.array([*"abc"]), np.array([*"123"]), np.arange(3)
    )
    found = out_of_distribution.to_other_categories(gallery, gallery.with_features(3 * gallery.features))
    np.testing.assert_allclose(found, np.sqrt(2))


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
