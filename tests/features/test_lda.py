"""LDA: what it keeps, what it forgets, and Fisher's formula by another way."""

import numpy as np
import pytest
import scipy.linalg
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from retrieval.features import lda
from retrieval.features.normalising import l2_normalise
from retrieval.views.feature_map import tsne


def clusters(seed: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Three categories that differ in two of six dimensions; two others are noise."""
    rng = np.random.default_rng(seed)
    categories = np.arange(3).repeat(40)
    features = rng.normal(scale=0.1, size=(120, 6)) + 1
    features[:, :2] += np.array([[0.0, 0.0], [0.6, 0.0], [0.0, 0.6]])[categories]
    features[:, 2:4] += rng.normal(scale=noise, size=(120, 2))
    return features.astype(np.float32), np.array(list("abc"))[categories]


def test_unit_rows_of_one_dimension_fewer_than_categories():
    features, categories = clusters(0)
    transformed = lda.transform(features, lda.fit(features, categories, shrinkage=0.1))
    assert transformed.shape == (120, 2)
    np.testing.assert_allclose(np.linalg.norm(transformed, axis=1), 1, atol=1e-6)


def test_the_length_of_features_does_not_matter():
    features, categories = clusters(0)
    fitted = lda.fit(features, categories, shrinkage=0.1)
    np.testing.assert_allclose(
        lda.transform(3 * features, fitted), lda.transform(features, fitted), atol=1e-5
    )


def test_neighbours_are_better_if_noise_hid_the_categories():
    features, categories = clusters(0)
    others, other_categories = clusters(1)
    fitted = lda.fit(features, categories, shrinkage=0.1)

    def right(index, queries):
        nearest = np.linalg.norm(queries[:, np.newaxis] - index, axis=2).argmin(axis=1)
        return (categories[nearest] == other_categories).mean()

    before = right(l2_normalise(features), l2_normalise(others))
    assert right(lda.transform(features, fitted), lda.transform(others, fitted)) > max(before + 0.1, 0.9)


@pytest.mark.parametrize("shrinkage", [0.05, 0.5])
def test_distances_follow_fishers_criterion(shrinkage):
    """The directions are the eigenvectors of S_b v = lambda S_w v, scaled to v' S_w v = 1."""
    features, categories = clusters(0)
    unit = l2_normalise(features).astype(float)
    unit -= unit.mean(axis=0)

    def scatter(rows: np.ndarray) -> np.ndarray:
        own = np.cov(rows.T, bias=True)
        return (1 - shrinkage) * own + shrinkage * np.trace(own) / 6 * np.eye(6)

    within = sum(scatter(unit[categories == category]) for category in "abc") / 3
    vectors = scipy.linalg.eigh(scatter(unit) - within, within)[1][:, :-3:-1]
    transformed = lda.transform(features, lda.fit(features, categories, shrinkage=shrinkage))
    # The sign of a direction is arbitrary.
    np.testing.assert_allclose(np.abs(transformed), np.abs(l2_normalise(unit @ vectors)), atol=1e-3)


def test_neighbours_stay_neighbours_on_the_plane():
    features, categories = clusters(0, noise=0.1)
    points = tsne(features, seed=0)
    distances = np.linalg.norm(points[:, np.newaxis] - points, axis=2) + np.diag([np.inf] * len(points))
    assert (categories[distances.argmin(axis=1)] == categories).mean() > 0.95
    assert (points == tsne(features, seed=0)).all()


@pytest.mark.parametrize("shape", [(2, 3), (4, 1)])
def test_two_images_and_one_dimension_have_a_place_on_the_plane(shape: tuple[int, int]):
    points = tsne(np.random.default_rng(0).normal(size=shape).astype(np.float32), seed=0)
    assert points.shape == (shape[0], 2) and np.isfinite(points).all() and np.ptp(points) > 0


@pytest.mark.parametrize("shrinkage", [0.001, 0.05, 0.4])
def test_fewer_images_than_dimensions_are_no_other_lda(shrinkage: float) -> None:
    rng = np.random.default_rng(0)
    categories, centres = np.arange(24) % 3, 2 * rng.normal(size=(3, 60))
    features = (rng.normal(size=(24, 60)) + centres[categories]).astype(np.float32)
    others = rng.normal(size=(5, 60)).astype(np.float32)
    rows = l2_normalise(features)
    mean = rows.mean(axis=0, dtype=np.float64)
    in_full = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage).fit(rows - mean, categories)
    got = lda.transform(others, lda.fit(features, categories, shrinkage=shrinkage))
    expected = lda.transform(others, (mean, in_full.scalings_[:, :2]))
    np.testing.assert_allclose(got @ got.T, expected @ expected.T, atol=1e-5)
