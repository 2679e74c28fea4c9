"""Encoders converted for LiteRT, which runs them in half of Keras's time and without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrieval.artifacts.store import Store
from retrieval.encoders.mobilenetv2 import mobilenetv2, preprocess
from retrieval.encoders.tensorflow_quiet import keras, tf
from retrieval.encoders.weights import Weights
from retrieval.errors import RetrievalError
from retrieval.features.extraction import SIZE, extract, to_features
from retrieval.features.litert import load_encoder
from retrieval.silence import standard_error_closed

# How far converted encoders may be from Keras's.
TOLERANCE = 1e-4


def convert(encoder: keras.Model) -> bytes:
    """An encoder as `inference.load_encoder` takes it, in LiteRT's format: pixels in, preprocessing included.

    Raises:
        RetrievalError: its features differ from Keras's by more than TOLERANCE.
    """
    variables = (encoder.trainable_variables, encoder.non_trainable_variables)
    # As constants, which the converter folds into one another; it would keep variables apart.
    weights = [[variable.numpy() for variable in group] for group in variables]
    module = tf.Module()
    module.forward = tf.function(
        lambda images: encoder.stateless_call(*weights, preprocess(images), training=False)[0],
        [tf.TensorSpec((1, None, None, 3), tf.uint8)],
    )
    with standard_error_closed():
        functions = [module.forward.get_concrete_function()]
        model = tf.lite.TFLiteConverter.from_concrete_functions(functions, module).convert()
    _check(model, encoder)
    return model


def extract_all(store: Store, weights: Weights, data: Path) -> np.ndarray:
    """MobileNetV2 features of the whole set, float32 `[n_images, 1280]`, in the order of `images.json`.

    They do not depend on the split, so that another one costs no other extraction. The weights are
    recorded in `weights.json`: features made with others are stale.

    Args:
        store: where `mobilenetv2_all.npy` is, or will be.
        weights: as `find_weights`.
        data: folder of the data set.

    Raises:
        RetrievalError: an image or the weights cannot be read, or the disk is full.
    """
    record = {"name": weights.name, "sha256": weights.sha256}
    choice = store.settings["weights"]
    store.make("weights.json", by=lambda _: record, settings={"weights": choice, "sha256": weights.sha256})
    encoder = store.make(
        "mobilenetv2.tflite", by=lambda _: convert(mobilenetv2(weights)), needs=["weights.json"]
    )
    files = store.load("images.json")["files"]
    return store.make(
        "mobilenetv2_all.npy",
        by=lambda unfinished: extract(to_features(encoder), data, files, unfinished=unfinished),
        needs=["images.json", "mobilenetv2.tflite"],
        settings={"size": SIZE},
    )


def _check(model: bytes, encoder: keras.Model) -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    expected = encoder(preprocess(image[np.newaxis]), training=False).numpy()[0]
    difference = np.abs(load_encoder(model, SIZE)(image) - expected).max()
    if not difference <= TOLERANCE:
        raise RetrievalError(
            f"{encoder.name} as converted is {difference:.2g} away from Keras's features, more than "
            f"{TOLERANCE}: install the versions of requirements.lock"
        )
