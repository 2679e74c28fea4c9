"""Batches hold what they promise, and crops lie inside the picture."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.encoders import batches


@given(st.integers(0, 1000), st.floats(0.05, 1.0))
def test_crops_lie_inside_and_are_large_enough(seed, least_area):
    top, left, bottom, right = batches.draw_crops(50, least_area, np.random.default_rng(seed)).T
    assert min(top.min(), left.min(), right.min()) >= 0
    assert max(bottom.max(), left.max(), right.max()) <= 1 + 1e-6
    # A crop wider or higher than the picture is cut to it, which costs at most a factor of 4/3.
    assert ((bottom - top) * np.abs(right - left)).min() >= least_area * 3 / 4 - 1e-6


def test_half_of_the_crops_are_mirrored():
    _, left, _, right = batches.draw_crops(2000, 0.5, np.random.default_rng(0)).T
    assert 0.45 < (left > right).mean() < 0.55


def test_a_batch_holds_k_different_images_of_p_categories():
    labels = np.arange(10).repeat(6)
    rows = batches.draw_batch(labels, 4, 3, np.random.default_rng(0))
    assert len(set(rows.tolist())) == 12
    assert sorted(np.unique(labels[rows], return_counts=True)[1]) == [3, 3, 3, 3]


def test_a_batch_of_few_categories_and_few_images():
    labels = np.array([0, 0, 1, 1, 1])
    rows = batches.draw_batch(labels, 4, 3, np.random.default_rng(0))
    assert sorted(labels[rows].tolist()) == [0, 0, 0, 1, 1, 1]


@given(st.integers(1, 100), st.integers(1, 70))
def test_shuffled_batches_hold_no_image_twice(n: int, batch: int) -> None:
    batches_of_epoch = batches.shuffled_batches(n, batch, np.random.default_rng(0))
    assert batches_of_epoch.shape == ((n // batch, batch) if n >= batch else (1, n))
    rows = batches_of_epoch.ravel()
    assert len(set(rows.tolist())) == len(rows) and rows.max() < n


def test_neutral_variation_only_resizes():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    whole, neutral = np.tile([0, 0, 1, 1], (2, 1)).astype(np.float32), np.ones((2, 3), np.float32)
    np.testing.assert_allclose(batches.vary(images, whole, neutral, 8), images, atol=1e-5)
    mirrored = batches.vary(images, whole[:, [0, 3, 2, 1]], neutral, 8)
    np.testing.assert_allclose(mirrored, images[:, :, ::-1], atol=1e-5)


def test_colours_by_hand():
    # One pixel dark red, one light: brightness from -1, contrast around the mean, saturation around grey.
    images = np.array([[[[-0.4, -1.0, -1.0]], [[0.2, -0.4, -0.4]]]], np.float32)
    whole = np.array([[0, 0, 1, 1]], np.float32)

    def varied(*colours):
        return batches.vary(np.repeat(images, 2, axis=2), whole, np.array([colours], np.float32), 2)[0, :, 0]

    np.testing.assert_allclose(varied(0.5, 1, 1), [[-0.7, -1, -1], [-0.4, -0.7, -0.7]], atol=1e-5)
    np.testing.assert_allclose(varied(1, 0, 1), np.full((2, 3), -0.5), atol=1e-5)
    np.testing.assert_allclose(varied(1, 1, 0), [[-0.8] * 3, [-0.2] * 3], atol=1e-5)


def test_colours_vary_within_their_strength():
    factors = batches.draw_colours(500, 0.2, np.random.default_rng(0))
    assert factors.shape == (500, 3) and factors.dtype == np.float32
    assert 0.8 <= factors.min() < 0.82 and 1.18 < factors.max() <= 1.2
