"""The backbone: its pixels, its weights, and its features once it is converted."""

import h5py
import keras
import numpy as np
import pytest

from retrieval.encoders import conversion, mobilenetv2, siamese, weights
from retrieval.errors import RetrievalError
from retrieval.features.litert import load_encoder


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("weights") / "random.weights.h5"
    backbone().save_weights(path)
    return path


def backbone() -> keras.Model:
    return keras.applications.MobileNetV2(
        input_shape=(None, None, 3), include_top=False, pooling="avg", weights=None
    )


def test_preprocessing_is_that_of_mobilenetv2():
    pixels = np.array([0, 51, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    expected = keras.applications.mobilenet_v2.preprocess_input(pixels.astype(np.float32))
    np.testing.assert_allclose(mobilenetv2.preprocess(pixels), expected, atol=1e-6)


def test_pixels_scaled_already_are_refused():
    with pytest.raises(ValueError, match="float32"):
        mobilenetv2.preprocess(np.zeros((1, 2, 2, 3), np.float32))


def test_a_converted_encoder_gives_kerass_features_at_every_size(weights_file):
    encoder = mobilenetv2.mobilenetv2(weights.Weights("random", weights_file, ""))
    rng = np.random.default_rng(0)
    # Random weights shrink what passes through them unless batch normalisation has seen such input.
    siamese.set_batch_normalisation(encoder, 0.0)
    encoder(rng.uniform(-1, 1, (8, 96, 96, 3)).astype(np.float32), training=True)
    model = conversion.convert(encoder)
    for size in (96, 224, 256):
        image = rng.integers(0, 256, (size, size, 3), np.uint8)
        expected = encoder(mobilenetv2.preprocess(image[np.newaxis]), training=False).numpy()[0]
        converted = load_encoder(model, size)(image)
        assert converted.dtype == np.float32 and np.abs(expected).mean() > 0.1
        np.testing.assert_allclose(converted, expected, atol=1e-4, rtol=0)


def test_a_converted_encoder_keeps_what_training_changed():
    encoder = siamese.siamese_cnn(seed=0)
    for _ in range(3):
        encoder(np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32), training=True)
    image = np.random.default_rng(1).integers(0, 256, (48, 48, 3), np.uint8)
    expected = encoder(mobilenetv2.preprocess(image[np.newaxis]), training=False).numpy()[0]
    fresh = siamese.siamese_cnn(seed=0)(mobilenetv2.preprocess(image[np.newaxis]), training=False).numpy()[0]
    converted = load_encoder(conversion.convert(encoder), 48)(image)
    np.testing.assert_allclose(converted, expected, atol=1e-4)
    assert np.abs(converted - fresh).max() > 1e-3


def test_a_conversion_that_changes_the_features_is_refused(monkeypatch):
    other = conversion.convert(siamese.siamese_cnn(seed=1))
    monkeypatch.setattr(mobilenetv2.tf.lite.TFLiteConverter, "convert", lambda self: other)
    with pytest.raises(RetrievalError, match=r"siamese_cnn as converted .* Keras's features"):
        conversion.convert(siamese.siamese_cnn(seed=0))


def test_in_int8_an_encoder_is_smaller_and_its_features_are_near(monkeypatch):
    encoder, rng = siamese.siamese_cnn(seed=0), np.random.default_rng(0)
    images = [*rng.integers(0, 256, (20, 48, 48, 3), np.uint8)]
    exact, rounded = conversion.convert(encoder), conversion.convert(encoder, calibration=images)
    assert len(rounded) < 0.5 * len(exact)
    for size in (48, 80):
        image = rng.integers(0, 256, (size, size, 3), np.uint8)
        one, other = (load_encoder(model, size)(image) for model in (exact, rounded))
        assert other.dtype == np.float32
        assert 0 < np.linalg.norm(one - other) < 0.1 * np.linalg.norm(one)
    monkeypatch.setitem(conversion.LIMIT, "int8", 1e-9)
    with pytest.raises(RetrievalError, match="give PRECISION=float32"):
        conversion.convert(encoder, calibration=images)


def test_weights_saved_by_keras_are_loaded(weights_file):
    loaded = mobilenetv2.mobilenetv2(weights.Weights("random", weights_file, ""))
    assert loaded.output_shape == (None, 1280)
    assert loaded.count_params() == 2_257_984


@pytest.mark.parametrize("name", ["other.weights.h5", "other.h5"])
def test_a_file_of_something_else_is_refused(tmp_path, name):
    (tmp_path / name).write_text("something else")
    with pytest.raises(RetrievalError, match=r"other.*MobileNetV2"):
        mobilenetv2.mobilenetv2(weights.Weights("other", tmp_path / name, ""))


def test_the_backbone_is_read_out_of_a_whole_model(tmp_path):
    keras.utils.set_random_seed(2)
    inner = keras.applications.MobileNetV2(input_shape=(96, 96, 3), include_top=False, weights=None)
    model = keras.Sequential([inner, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    model.save(tmp_path / "whole.h5")
    with h5py.File(tmp_path / "whole.h5") as file:
        assert any(name.startswith("mobilenetv2") for name in file["model_weights"])
    loaded = mobilenetv2.mobilenetv2(weights.Weights("whole", tmp_path / "whole.h5", ""))
    for ours, theirs in zip(loaded.weights, inner.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
