"""The two Siamese encoders: MobileNetV2 fine-tuned as a whole, and a small CNN from scratch.

A Siamese encoder maps an image to an embedding f on the unit sphere; the distance between two
embeddings is meant to tell whether two images show the same category.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from retrieval.encoders.mobilenetv2 import in_inference_mode
from retrieval.encoders.tensorflow_quiet import keras
from retrieval.features.extraction import BATCH
from retrieval.features.normalising import l2_normalise

layers = keras.layers

# Keras builds MobileNetV2 with 0.999. In the few hundred steps of a fine-tuning the moving
# statistics would stay those of ImageNet while the weights move on, and the features, which are
# taken in inference mode, would be useless.
BATCH_NORMALISATION_MOMENTUM = 0.9


def siamese_cnn(*, seed: int) -> keras.Model:
    """The small CNN, 403,968 parameters: images `[n, h, w, 3]` in [-1, 1] to `[n, 128]`.

    It pools globally and so accepts any size; 224 x 224 is that of the original work. `seed` decides
    the initial weights.
    """
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            layers.Input((None, None, 3)),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=BATCH_NORMALISATION_MOMENTUM),
            layers.MaxPooling2D(),
            layers.Conv2D(128, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(256, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(128),
        ],
        name="siamese_cnn",
    )


def siamese_mobilenetv2(
    backbone: keras.Model, *, momentum: float = BATCH_NORMALISATION_MOMENTUM
) -> keras.Model:
    """A MobileNetV2 made ready for fine-tuning as a whole: nothing frozen, no layer added.

    The backbone is changed in place: only the momentum of its batch normalisation.
    """
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = momentum
    return backbone


def freeze_batch_normalisation(backbone: keras.Model) -> keras.Model:
    """A backbone whose batch normalisation stays as it was trained: statistics, scale and shift.

    The network is then the same in training and in use, whatever the momentum, batches too small for
    statistics of their own do no harm, and a step takes about half the time. Changed in place.
    """
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    return backbone


def interpolate_weights(start: keras.Model, end: keras.Model) -> keras.Model:
    """A new encoder with the mean of the weights before and after a fine-tuning.

    It keeps more of what the pretrained encoder knew about anything else than it was tuned on (Wortsman
    et al., "Robust fine-tuning of zero-shot models", CVPR 2022, with their alpha of 0.5). Batch
    normalisation must have been frozen: statistics have no meaningful mean.

    Args:
        start: the encoder as it was.
        end: the same architecture after training.
    """
    encoder = keras.models.clone_model(start)
    pairs = zip(start.get_weights(), end.get_weights(), strict=True)
    encoder.set_weights([(before + after) / 2 for before, after in pairs])
    return encoder


def layer_table(encoder: keras.Model, size: int) -> pd.DataFrame:
    """Layers of a sequential encoder: type, output shape for `size` x `size` pixels, parameters."""
    shape, rows = (None, size, size, 3), []
    for layer in encoder.layers:
        shape = layer.compute_output_shape(shape)
        rows.append((type(layer).__name__, " x ".join(map(str, shape[1:])), layer.count_params()))
    return pd.DataFrame(rows, columns=["layer", "output", "parameters"])


def embed(encoder: keras.Model, images: np.ndarray, *, unit_length: bool = True) -> np.ndarray:
    """Embeddings, float32 `[n, dim]`, of uint8 images `[n, size, size, 3]` in memory."""
    forward = in_inference_mode(encoder)
    batches = [forward(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    embeddings = np.concatenate(batches)
    return l2_normalise(embeddings) if unit_length else embeddings
