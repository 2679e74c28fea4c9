"""The MobileNetV2 backbone: its input, its weights and its features."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from retrieval.encoders.tensorflow_quiet import keras, tf
from retrieval.encoders.weights import KERAS_WEIGHTS, Weights
from retrieval.errors import RetrievalError


def preprocess(images: np.ndarray | tf.Tensor) -> tf.Tensor:
    """MobileNetV2's input, float32 in [-1, 1], from uint8 pixels.

    Raises:
        ValueError: the pixels are not uint8; scaling them twice would silently give useless features.
    """
    if images.dtype != np.uint8:
        raise ValueError(f"pixels are {images.dtype}, not uint8")
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def mobilenetv2(weights: Weights) -> keras.Model:
    """MobileNetV2 up to its global average pooling: images `[n, h, w, 3]` to float32 `[n, 1280]`.

    Raises:
        RetrievalError: the file does not hold the weights of a MobileNetV2.
    """
    encoder = keras.applications.MobileNetV2(
        input_shape=(None, None, 3), include_top=False, pooling="avg", weights=None
    )
    try:
        if weights.path.name.endswith((".weights.h5", KERAS_WEIGHTS)):
            encoder.load_weights(weights.path)
        else:
            _load_backbone(encoder, weights.path)
    except (KeyError, OSError, ValueError):
        raise RetrievalError(
            f"{weights.path} does not hold MobileNetV2 weights: delete it or give another file as WEIGHTS"
        ) from None
    return encoder


@lru_cache(maxsize=2)
def in_inference_mode(encoder: keras.Model) -> Callable[[np.ndarray], tf.Tensor]:
    """The encoder compiled for uint8 batches `[n, size, size, 3]` of any length."""
    signature = [tf.TensorSpec((None, None, None, 3), tf.uint8)]
    return tf.function(lambda images: encoder(preprocess(images), training=False), signature)


def _load_backbone(encoder: keras.Model, path: Path) -> None:
    """Fills the encoder from the MobileNetV2 inside a whole-model file, read as plain arrays."""
    with h5py.File(path) as file:
        groups = file["model_weights"]
        backbone = groups[next(name for name in groups if name.startswith("mobilenetv2"))]
        for layer in encoder.layers:
            if layer.weights:
                layer.set_weights([backbone[layer.name][weight.name][()] for weight in layer.weights])
