"""Triplets: every mined one is valid and violates, and none that does is missed."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.encoders import triplets

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


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_mining_finds_all_violating_triplets_and_no_others(seed):
    distances, labels = a_batch(seed)
    mined = triplets.mine_violating(distances, labels, MARGIN).numpy()
    assert set(map(tuple, mined.tolist())) == slow_violating(distances, labels)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_hardest_triplets_are_valid_and_hardest(seed):
    distances, labels = a_batch(seed)
    for anchor, positive, negative in triplets.mine_hardest(distances, labels).numpy():
        others = np.arange(12) != anchor
        same = labels == labels[anchor]
        assert positive != anchor and same[positive] and not same[negative]
        assert distances[anchor, positive] == distances[anchor][same & others].max()
        assert distances[anchor, negative] == distances[anchor][~same].min()


def test_random_triplets_are_valid_and_any_can_be_drawn():
    labels = np.array([0, 0, 0, 1, 1, 1])
    drawn = np.concatenate([triplets.mine_random(labels).numpy() for _ in range(300)])
    assert (labels[drawn[:, 0]] == labels[drawn[:, 1]]).all() and (drawn[:, 0] != drawn[:, 1]).all()
    assert (labels[drawn[:, 0]] != labels[drawn[:, 2]]).all()
    assert len(np.unique(drawn, axis=0)) == 6 * 2 * 3


def test_every_mining_has_its_loss():
    embeddings = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels, near = np.arange(8) % 2, ((embeddings[:, None] - embeddings) ** 2).sum(axis=2)
    losses = [
        [max(0, near[a, p] - near[a, n] + MARGIN) for p in range(8) for n in range(8) if p != a
         and labels[p] == labels[a] != labels[n]]
        for a in range(8)
    ]  # fmt: skip
    everything = np.concatenate(losses)

    def loss(mining):
        return float(triplets.hinge(embeddings, labels, margin=MARGIN, mining=mining)["loss"])

    assert loss("violating") == pytest.approx(everything[everything > 0].mean(), rel=1e-4)
    assert loss("hardest") == pytest.approx(np.mean([max(each) for each in losses]), rel=1e-4)
    assert np.mean([loss("random") for _ in range(300)]) == pytest.approx(everything.mean(), rel=0.1)


def test_without_unit_length_distances_grow_with_the_embeddings():
    embeddings = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]], np.float32)
    values = triplets.hinge(embeddings, np.array([0, 0, 1]), margin=MARGIN, unit_length=False)
    # Positives are 4 + 9 apart; the negative is 1 + 1 from one anchor, 1 + 4 from the other.
    assert float(values["loss"]) == pytest.approx(((13 - 2) + (13 - 5)) / 2 + MARGIN)


def test_loss_by_hand():
    distances = np.array([[0, 1, 0.5], [1, 0, 3], [0.5, 3, 0]], np.float32)
    both = np.array([[0, 1, 2], [1, 0, 2]])
    # d(a, p) - d(a, n) + margin: 1 - 0.5 + 0.2 = 0.7, and 1 - 3 + 0.2 < 0
    assert float(triplets.mean_hinge(distances, both, MARGIN)) == pytest.approx(0.35)


def test_the_hinge_of_a_batch_is_that_of_its_violating_triplets_on_the_sphere():
    embeddings = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]], np.float32)
    values = triplets.hinge(embeddings, np.array([0, 0, 1]), margin=MARGIN)
    # Squared distances 2, and twice 2 - sqrt(2): both triplets violate by the same.
    assert float(values["loss"]) == pytest.approx(2 - (2 - 2**0.5) + MARGIN, rel=1e-5)
    assert float(values["random"]) == float(values["hardest"]) == 1


def test_no_triplets_no_loss():
    assert float(triplets.mean_hinge(np.zeros((2, 2), np.float32), np.empty((0, 3), np.int64), MARGIN)) == 0


def test_shares_of_violations_by_hand():
    # 0 and 1 belong together, 2 and 3 too; 0 lies nearer to 2 than to 1, and 2 nearer to 0 than to 3.
    distances = np.array([[0, 1, 0.5, 3], [1, 0, 3, 3], [0.5, 3, 0, 1], [3, 3, 1, 0]], np.float32)
    shares = triplets.violating_shares(distances, np.array([0, 0, 1, 1]), MARGIN)
    assert float(shares["random"]) == pytest.approx(2 / 8)
    assert float(shares["hardest"]) == pytest.approx(2 / 4)
