"""Proxies: where they start, what the loss is by hand, and that they learn with the encoder."""

import keras
import numpy as np
import pytest

from retrieval.encoders import proxies
from retrieval.features.normalising import l2_normalise


def an_encoder() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])


def test_outputs_are_the_cosines_to_the_proxies():
    encoder = an_encoder()
    starts = np.array([[2.0, 0.0, 0.0], [0.0, 3.0, 4.0]], np.float32)
    images = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    embeddings = encoder(images).numpy()
    expected = embeddings @ starts.T / np.outer(np.linalg.norm(embeddings, axis=1), [2, 5])
    np.testing.assert_allclose(proxies.with_proxies(encoder, starts)(images), expected, atol=1e-6)


def test_proxies_are_trained_and_stay_on_the_sphere():
    model = proxies.with_proxies(an_encoder(), np.eye(3, dtype=np.float32))
    images = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    model.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, np.arange(9) % 3, verbose=0)
    kernel = model.get_layer("proxies").kernel.numpy() / proxies.PROXY_LENGTH
    assert np.abs(kernel - np.eye(3)).max() > 0.05
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, atol=1e-5)
    encoder, points = proxies.without_proxies(model)
    np.testing.assert_allclose(points, kernel.T, atol=1e-6)
    embeddings = l2_normalise(encoder(images).numpy())
    np.testing.assert_allclose(embeddings @ points.T, model(images), atol=1e-5)


def test_loss_by_hand():
    cosines, labels = np.array([[0.5, -0.5], [0.2, 0.4]], np.float32), np.array([0, 0])
    # softmax(2 * cosines) of the right category: 1 / (1 + e^-2) and 1 / (1 + e^0.4), targets .95 and .05
    right = np.array([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(0.4))])
    expected = -(0.95 * np.log(right) + 0.05 * np.log(1 - right)).mean()
    values = proxies.normalised_softmax(cosines, labels, scale=2, smoothing=0.1)
    assert float(values["loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(values["accuracy"]) == 0.5
