"""Triplets: every mined one is valid and violates, and none that does is missed."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import triplets

MARGIN = 0.2


def a_batch(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances between 12 random unit vectors, and their labels: four each of three categories."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(12, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return triplets.squared_distances(vectors.astype(np.float32)).numpy(), rng.permutation(
        np.arange(3).repeat(4)
    )


def slow_violating(distances: np.ndarray, labels: np.ndarray) -> set[tuple[int, int, int]]:
    rows = range(len(labels))
    return {
        (a, p, n)
        for a, p, n in itertools.product(rows, rows, rows)
        if a != p
        and labels[a] == labels[p]
        and labels[a] != labels[n]
        and distances[a, p] - distances[a, n] + np.float32(MARGIN) > 0
    }


def test_squared_distances_are_those_of_the_vectors():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], np.float32)
    np.testing.assert_allclose(
        triplets.squared_distances(vectors), [[0, 2, 4], [2, 0, 2], [4, 2, 0]], atol=1e-6
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_mining_finds_all_violating_triplets_and_no_others(seed):
    distances, labels = a_batch(seed)
    mined = triplets.mine_violating(distances, labels, MARGIN).numpy()
    assert set(map(tuple, mined.tolist())) == slow_violating(distances, labels)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_hardest_triplets_are_valid_and_hardest(seed):
    distances, labels = a_batch(seed)
    for anchor, positive, negative in triplets.mine_hardest(distances, labels).numpy():
        others = np.arange(12) != anchor
        same = labels == labels[anchor]
        assert positive != anchor and same[positive] and not same[negative]
        assert distances[anchor, positive] == distances[anchor][same & others].max()
        assert distances[anchor, negative] == distances[anchor][~same].min()


def test_loss_by_hand():
    distances = np.array([[0, 1, 0.5], [1, 0, 3], [0.5, 3, 0]], np.float32)
    both = np.array([[0, 1, 2], [1, 0, 2]])
    # d(a, p) - d(a, n) + margin: 1 - 0.5 + 0.2 = 0.7, and 1 - 3 + 0.2 < 0
    assert float(triplets.triplet_loss(distances, both, MARGIN)) == pytest.approx(0.35)


def test_no_triplets_no_loss():
    assert float(triplets.triplet_loss(np.zeros((2, 2), np.float32), np.empty((0, 3), np.int64), MARGIN)) == 0


def test_shares_of_violations_by_hand():
    # 0 and 1 belong together, 2 and 3 too; 0 lies nearer to 2 than to 1, and 2 nearer to 0 than to 3.
    distances = np.array([[0, 1, 0.5, 3], [1, 0, 3, 3], [0.5, 3, 0, 1], [3, 3, 1, 0]], np.float32)
    shares = triplets.violating_shares(distances, np.array([0, 0, 1, 1]), MARGIN)
    assert float(shares["random"]) == pytest.approx(2 / 8)
    assert float(shares["hardest"]) == pytest.approx(2 / 4)


@given(st.integers(0, 1000), st.floats(0.05, 1.0))
def test_crops_lie_inside_and_are_large_enough(seed, least_area):
    top, left, bottom, right = triplets.draw_crops(50, least_area, np.random.default_rng(seed)).T
    assert min(top.min(), left.min(), right.min()) >= 0
    assert max(bottom.max(), left.max(), right.max()) <= 1 + 1e-6
    # A crop wider or higher than the picture is cut to it, which costs at most a factor of 4/3.
    assert ((bottom - top) * np.abs(right - left)).min() >= least_area * 3 / 4 - 1e-6


def test_half_of_the_crops_are_mirrored():
    _, left, _, right = triplets.draw_crops(2000, 0.5, np.random.default_rng(0)).T
    assert 0.45 < (left > right).mean() < 0.55


def test_a_batch_holds_k_different_images_of_p_categories():
    labels = np.arange(10).repeat(6)
    rows = triplets.draw_batch(labels, 4, 3, np.random.default_rng(0))
    assert len(set(rows.tolist())) == 12
    assert sorted(np.unique(labels[rows], return_counts=True)[1]) == [3, 3, 3, 3]


def test_a_batch_of_few_categories_and_few_images():
    labels = np.array([0, 0, 1, 1, 1])
    rows = triplets.draw_batch(labels, 4, 3, np.random.default_rng(0))
    assert sorted(labels[rows].tolist()) == [0, 0, 0, 1, 1, 1]
