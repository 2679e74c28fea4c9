"""Any other encoder: what its file says of its input, what does not fit, and its features as artifacts."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from pictures import scene

from retrieval.artifacts.store import Store, open_store, start
from retrieval.data.images import load_image
from retrieval.data.parts import PARTS
from retrieval.encoders import siamese
from retrieval.encoders.custom import embed_custom, read_encoder
from retrieval.errors import RetrievalError
from retrieval.features.litert import load_encoder
from retrieval.settings import PRECISIONS, Settings

IMAGE = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """For two categories of six images, of which `filled` deals two to each part."""
    for number in range(12):
        (tmp_path / "photos" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        scene(number).save(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png")
    return Settings(tmp_path / "photos", 0, "grouped", None, "", tmp_path / "artifacts")


def filled(settings: Settings) -> Store:
    store = start(settings)
    store.save("images.json", {})
    store.save("dataset.json", {"sha256": "photos"})
    for first, part in enumerate(PARTS):
        store.save(f"{part}_index_file.json", {str(row): f"a/{4 * first + 2 * row}.png" for row in range(2)})
        store.save(f"{part}_index_category.json", {"0": "a", "1": "a"})
        store.save(f"{part}_index_group.json", {"0": first, "1": first})
    return store


def pool(size: int | None = None, channels: int = 3, **options: str) -> keras.Model:
    """An encoder that gives mean colours, of images of any size unless it is given."""
    return keras.Sequential(
        [keras.Input((size, size, channels), **options), layers.GlobalAveragePooling2D(dtype="float32")]
    )


def saved(model: keras.Model, path: Path) -> Path:
    """As `.keras`, or as float32 `.tflite`."""
    if path.suffix == ".keras":
        model.save(path)
        return path
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return path


@pytest.mark.parametrize("kind", [".keras", ".tflite"])
@pytest.mark.parametrize(("pixels", "black", "white"), [("0..255", 0, 255), ("0..1", 0, 1), ("-1..1", -1, 1)])
def test_pixels_come_in_the_range_that_is_named(settings, tmp_path, kind, pixels, black, white) -> None:
    # Without the constant, unit length would hide the range.
    inputs = keras.Input((None, None, 3))
    colour = layers.GlobalAveragePooling2D()(inputs)
    one = layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones")
    path = saved(keras.Model(inputs, layers.Concatenate()([colour, one(colour)])), tmp_path / f"x{kind}")
    model = read_encoder(path, replace(settings, encoder_range=pixels))
    features = load_encoder(model, 32, pixels=pixels)(IMAGE)
    expected = black + IMAGE.mean(axis=(0, 1)) / 255 * (white - black)
    np.testing.assert_allclose(features[:3] / features[3], expected, rtol=1e-3, atol=1e-4)


def test_a_keras_input_of_bytes_takes_pixels_as_they_are(settings, tmp_path) -> None:
    path = saved(pool(dtype="uint8"), tmp_path / "bytes.keras")
    features = load_encoder(read_encoder(path, replace(settings, encoder_range="-1..1")), 32)(IMAGE)
    colour = IMAGE.mean(axis=(0, 1))
    np.testing.assert_allclose(features, colour, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
@pytest.mark.parametrize("kind", [tf.int8, tf.uint8])
@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 255)])
def test_a_quantised_file_says_its_range_itself(settings, tmp_path, kind, low, high) -> None:
    model = pool(32)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    ends = [np.full((1, 32, 32, 3), value, np.float32) for value in (low, high)]
    converter.representative_dataset = lambda: ([image] for image in ends)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = kind
    (tmp_path / "small.tflite").write_bytes(converter.convert())
    features = load_encoder(read_encoder(tmp_path / "small.tflite", settings), 32)(IMAGE)
    expected = low + IMAGE.mean(axis=(0, 1)) / 255 * (high - low)
    np.testing.assert_allclose(features, expected, atol=0.02 * (high - low))


def two_inputs() -> keras.Model:
    inputs = [keras.Input((None, None, 3)), keras.Input((None, None, 3))]
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Add()(inputs)))


def two_outputs() -> keras.Model:
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, [layers.GlobalAveragePooling2D()(inputs), layers.GlobalMaxPooling2D()(inputs)])


def not_a_number() -> keras.Model:
    nan = keras.initializers.Constant(np.nan)
    return keras.Sequential([pool(), layers.Dense(2, bias_initializer=nan)])


def no_pooling() -> keras.Model:
    return keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 3)])


def oblong() -> keras.Model:
    return keras.Sequential([keras.Input((32, 48, 3)), layers.GlobalAveragePooling2D()])


UNFIT = [
    (two_inputs, "it has 2 inputs and 1 outputs"),
    (two_outputs, "it has 1 inputs and 2 outputs"),
    (not_a_number, "its output holds NaN"),
    (no_pooling, r"its output is \[1, 222, 222, 2\], not one vector"),
    (oblong, r"its input is \[-?1, 32, 48, 3\], not one square image"),
    (lambda: pool(32, channels=1), r"its input is \[-?1, 32, 32, 1\], not one square image in colour"),
    (lambda: pool(32), "it takes 32 x 32 pixels: give ENCODER_SIZE=default"),
    (lambda: keras.Sequential([pool(), layers.Reshape((3, 1))]), r"its output is \[1, 3, 1\]"),
]


@pytest.mark.parametrize("kind", [".keras", ".tflite"])
@pytest.mark.parametrize(("model", "reason"), UNFIT, ids=[reason for _, reason in UNFIT])
def test_what_does_not_fit_is_one_line(settings, tmp_path, kind, model, reason) -> None:
    path, size = saved(model(), tmp_path / f"unfit{kind}"), 48 if "ENCODER_SIZE" in reason else None
    with pytest.raises(RetrievalError, match=rf"^ENCODER={path} does not fit \({reason}[^\n]*\): docs/own"):
        read_encoder(path, replace(settings, encoder_size=size))


@pytest.mark.parametrize("name", ["text.keras", "text.tflite", "empty.tflite"])
def test_what_is_no_network_is_one_line(settings, tmp_path, name) -> None:
    (tmp_path / name).write_text("" if "empty" in name else "some text")
    with pytest.raises(RetrievalError, match=rf"^ENCODER=\S+{name} does not fit \([^\n]+\): docs/own"):
        read_encoder(tmp_path / name, settings)


class Own(layers.Layer):
    def call(self, images):
        return images


@pytest.mark.parametrize("code", [Own, functools.partial(layers.Lambda, lambda images: images)])
def test_code_in_a_file_is_never_run(settings, tmp_path, code) -> None:
    path = saved(keras.Sequential([pool(), code()]), tmp_path / "code.keras")
    with pytest.raises(RetrievalError, match="with a lambda or a class of its own"):
        read_encoder(path, settings)


def given(settings: Settings, model: keras.Model, **options: object) -> tuple[Store, Settings]:
    path = saved(model, settings.data.parent / "encoder.tflite")
    settings = replace(settings, encoder=str(path), **options)
    return filled(settings), settings


def test_features_are_kept_as_any_others_and_not_made_twice(settings, capsys) -> None:
    store, settings = given(settings, pool(), encoder_size=48, encoder_range="-1..1")
    embed_custom(store, settings)
    image = load_image(settings.data / store.files("val")[1], 48, resample=2)
    colour = image.mean(axis=(0, 1)) / 127.5 - 1
    np.testing.assert_allclose(store.features("custom", "val")[1], colour / np.linalg.norm(colour), atol=1e-5)
    assert store.load("custom_open_set.npy").shape == (2, 1)
    assert {record["step"] for name, record in store.manifest().items() if name.startswith("custom")} == {
        "02_mobilenetv2_features"
    }
    capsys.readouterr()
    embed_custom(open_store(settings), settings)
    reused = [
        "custom.tflite",
        *(f"custom_{part}.npy" for part in PARTS),
        "custom_open_set.npy",
        "models/custom/model.npz",
    ]
    lines = [f"reused {name}" for name in reused]
    lines.append("custom encoder: encoder.tflite, 48 x 48 pixels, features of 3 dimensions")
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("change", [{"encoder_size": 64}, {"encoder_range": "0..1"}, {}])
def test_another_size_range_or_file_makes_other_features(settings, change) -> None:
    store, settings = given(settings, pool(), encoder_range="-1..1")
    embed_custom(store, settings)
    before = store.features("custom", "train")
    if not change:
        saved(keras.Sequential([pool(), layers.Rescaling(1.0, offset=0.5)]), Path(settings.encoder))
    settings = replace(settings, **change)
    store = start(settings)
    with pytest.raises(RetrievalError, match=r"custom_train.npy is out of date: .* custom.tflite, which was"):
        store.features("custom", "train")
    embed_custom(store, settings)
    assert np.abs(store.features("custom", "train") - before).max() > 1e-5


def test_an_encoder_that_is_taken_back_leaves_nothing(settings) -> None:
    store, settings = given(settings, pool())
    embed_custom(store, settings)
    store.save("results/custom.json", {}, needs=["custom_train.npy"])
    settings = replace(settings, encoder="")
    store = start(settings)
    embed_custom(store, settings)
    assert not [name for name in store.manifest() if "custom" in name]
    assert not list(store.folder.rglob("*custom*")) and store.load("images.json") == {}


def test_a_keras_file_is_converted_in_the_precision_of_the_settings(settings, tmp_path) -> None:
    path = saved(siamese.siamese_cnn(seed=0), tmp_path / "cnn.keras")
    sizes = []
    for precision in PRECISIONS:
        settings = replace(settings, encoder=str(path), encoder_size=48, precision=precision)
        store = filled(settings)
        embed_custom(store, settings)
        sizes.append(len(store.load("custom.tflite")))
    assert sizes[1] < 0.5 * sizes[0]
