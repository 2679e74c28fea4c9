"""The two encoders are those of the original, and embeddings have unit length."""

from functools import partial
from zipfile import ZipFile

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval.encoders import siamese


def test_the_cnn_has_the_layers_and_parameters_of_the_original():
    encoder = siamese.siamese_cnn(seed=0)
    table = siamese.layer_table(encoder, 224)
    assert encoder.count_params() == 403_968
    assert [count for count in table.parameters if count] == [1792, 256, 73_856, 295_168, 32_896]
    pooled = table[table.layer == "MaxPooling2D"].output.tolist()
    assert pooled == ["112 x 112 x 64", "56 x 56 x 128", "28 x 28 x 256"]
    assert encoder.output_shape == (None, 128)


def a_backbone() -> keras.Model:
    return keras.applications.MobileNetV2(
        input_shape=(None, None, 3), include_top=False, pooling="avg", weights=None
    )


def test_with_a_momentum_nothing_is_frozen_and_nothing_added():
    backbone = a_backbone()
    names = [layer.name for layer in backbone.layers]
    encoder = siamese.set_batch_normalisation(backbone, siamese.BATCH_NORMALISATION_MOMENTUM)
    assert [layer.name for layer in encoder.layers] == names
    assert encoder.count_params() == 2_257_984
    assert all(layer.trainable for layer in encoder.layers)
    momenta = {
        layer.momentum for layer in encoder.layers if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {siamese.BATCH_NORMALISATION_MOMENTUM}


def test_frozen_batch_normalisation_is_the_same_in_training_and_in_use():
    encoder = siamese.set_batch_normalisation(a_backbone(), None)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(encoder(images, training=True), encoder(images, training=False), atol=1e-6)
    trained = {type(layer) for layer in encoder.layers if layer.trainable_variables}
    assert trained == {keras.layers.Conv2D, keras.layers.DepthwiseConv2D}


def the_first_blocks() -> keras.Model:
    """Through all of them, the differences of rounding would grow too large to tell."""
    backbone = a_backbone()
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.get_layer("block_2_add").output)
    return keras.Model(backbone.input, pooled)


@pytest.mark.parametrize("build", [partial(siamese.siamese_cnn, seed=0), the_first_blocks])
@pytest.mark.parametrize("momentum", [0.0, None])
def test_the_network_for_training_learns_what_plain_keras_learns(build, momentum, tmp_path):
    encoder = siamese.set_batch_normalisation(build(), momentum)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 40, 40, 3)).astype(np.float32)
    weights = (encoder.trainable_variables, encoder.non_trainable_variables)
    results = []
    for network in (encoder, siamese.for_training(encoder)):
        with tf.GradientTape() as tape:
            outputs, statistics = network.stateless_call(*weights, images, training=True)
            loss = tf.reduce_sum(outputs[0] * outputs[1])
        results.append([outputs, *statistics, *tape.gradient(loss, weights[0])])
    for expected, got in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6 + 5e-5 * np.abs(expected).max())
    encoder.save(tmp_path / "encoder.keras")
    assert "retrieval" not in ZipFile(tmp_path / "encoder.keras").read("config.json").decode()


def test_only_the_inputs_of_activated_convolutions_are_kept():
    encoder = siamese.set_batch_normalisation(a_backbone(), 0.9)
    runs = [layer for layer in siamese.for_training(encoder).layers if isinstance(layer, siamese.Recomputed)]
    assert len(runs) == 34  # of 35 activations: no convolution follows the last


def test_frozen_batch_normalisation_is_folded_into_all_convolutions_also_within_a_model():
    encoder = siamese.set_batch_normalisation(a_backbone(), None)
    inner, outer = siamese.for_training(keras.Sequential([encoder, keras.layers.UnitNormalization()])).layers
    assert sum(isinstance(layer, siamese.Folded) for layer in inner.layers) == 52
    assert isinstance(outer, keras.layers.UnitNormalization)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_interpolated_weights_lie_between_both_and_change_neither(share: float):
    start, end = siamese.siamese_cnn(seed=0), siamese.siamese_cnn(seed=1)
    before = [each.get_weights() for each in (start, end)]
    between = siamese.interpolate_weights([start, end], [1 - share, share])
    assert [layer.name for layer in between.layers] == [layer.name for layer in start.layers]
    for got, first, last in zip(between.get_weights(), *before, strict=True):
        np.testing.assert_allclose(got, first + share * (last - first), atol=1e-7)
    for encoder, weights in zip((start, end), before, strict=True):
        for now, then in zip(encoder.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("count", [1, 65])
def test_embeddings_have_unit_length_and_keep_their_order(count):
    images = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), np.uint8)
    encoder = siamese.siamese_cnn(seed=0)
    embeddings = siamese.embed(encoder, images)
    assert embeddings.shape == (count, 128) and embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(embeddings[-1:], siamese.embed(encoder, images[-1:]), atol=1e-5)
