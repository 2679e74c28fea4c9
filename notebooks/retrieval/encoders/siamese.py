"""The two Siamese encoders: MobileNetV2 fine-tuned as a whole, and a small CNN from scratch.

A Siamese encoder maps an image to an embedding f on the unit sphere. The distance between two embeddings
should tell whether two images show the same category.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from retrieval.encoders.mobilenetv2 import in_inference_mode
from retrieval.encoders.tensorflow_quiet import keras, tf
from retrieval.features.extraction import BATCH
from retrieval.features.normalising import l2_normalise

layers = keras.layers

# Keras builds MobileNetV2 with 0.999. A fine-tuning of a few hundred steps would change the weights while
# the moving statistics stay at ImageNet's. Features are extracted in inference mode, which uses these
# statistics, and would be useless.
BATCH_NORMALISATION_MOMENTUM = 0.9


def siamese_cnn(*, seed: int) -> keras.Model:
    """The small CNN, 403,968 parameters: images `[n, h, w, 3]` in [-1, 1] to `[n, 128]`.

    It pools globally, so it accepts any size; the original work used 224 x 224.
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


def set_batch_normalisation(backbone: keras.Model, momentum: float | None) -> keras.Model:
    """The same backbone, its batch normalisation changed in place for fine-tuning.

    `momentum` is of the moving statistics, in [0, 1]. None freezes batch normalisation as it is: statistics,
    scale and shift. The network is then the same in training and in use, batches too small for statistics of
    their own do no harm, and a step takes less than half the time.
    """
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = momentum is not None
            layer.momentum = layer.momentum if momentum is None else momentum
    return backbone


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation, trained by TensorFlow's fused kernel: the same figures in less time."""

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        if not (training and self.trainable):
            return super().call(inputs, training=training)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        n = tf.cast(tf.size(inputs) // tf.size(mean), tf.float32)
        # The kernel divides the squares by n - 1, Keras by n.
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance * (n - 1) / n)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return outputs


class Recomputed(keras.layers.Layer):
    """Layers as one, of which training keeps only the inputs.

    What lies between is computed again for the gradients, except what the last one gives. A step then takes
    less memory (Chen et al., "Training deep nets with sublinear memory cost", 2016).
    """

    def __init__(self, steps: Sequence[keras.Layer]) -> None:
        super().__init__()
        self.block = keras.Sequential(steps)

    def build(self, shape: Sequence[int | None]) -> None:
        self.block.build(shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        fixed = self.block.non_trainable_variables

        @tf.recompute_grad
        def forward(inputs: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            return self.block.stateless_call(weights, fixed, inputs, training=training)

        outputs, values = forward(inputs, *(each.value for each in self.block.trainable_variables))
        for variable, value in zip(fixed, values, strict=True):
            variable.assign(value)
        return outputs


class Folded(keras.layers.Layer):
    """A convolution and its frozen batch normalisation as one: nearly the same figures in less time.

    Frozen batch normalisation multiplies and adds what never changes. Here the factor goes into the kernel,
    and the summand becomes the bias.
    """

    def __init__(self, steps: Sequence[keras.Layer]) -> None:
        super().__init__()
        self.convolution, self.normalisation = steps

    def build(self, shape: Sequence[int | None]) -> None:
        self.convolution.build(shape)
        self.normalisation.build(self.convolution.compute_output_shape(shape))

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        convolution, fixed = self.convolution, self.normalisation
        scale = fixed.gamma * tf.math.rsqrt(fixed.moving_variance + fixed.epsilon)
        options = {"strides": [1, *convolution.strides, 1], "padding": convolution.padding.upper()}
        if isinstance(convolution, layers.DepthwiseConv2D):
            outputs = tf.nn.depthwise_conv2d(inputs, convolution.kernel * scale[:, tf.newaxis], **options)
        else:
            outputs = tf.nn.conv2d(inputs, convolution.kernel * scale, **options)
        return tf.nn.bias_add(outputs, fixed.beta - fixed.moving_mean * scale)


def for_training(encoder: keras.Model) -> keras.Model:
    """The same network in less time and memory, for `stateless_call` with the weights of the encoder.

    The encoder stays one of plain Keras layers, and so does the file that it is saved to.
    """
    runs = [(Recomputed, run) for run in _activated_convolutions(encoder.layers)]
    runs += [(Folded, pair) for pair in pairwise(encoder.layers) if _is_folded(*pair)]
    # Keras calls batch normalisation with a mask, so what is merged with one stands in its place.
    merged = {id(next(filter(_normalises, run))): (kind, run) for kind, run in runs}
    done = {id(layer) for _, run in runs for layer in run}

    def copy(layer: keras.Layer) -> keras.Layer:
        plain = type(layer) is not layers.BatchNormalization
        return (type(layer) if plain else FusedBatchNormalization).from_config(layer.get_config())

    def clone(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, keras.Model):
            return for_training(layer)
        if id(layer) in merged:
            kind, run = merged[id(layer)]
            return kind([*map(copy, run)])
        return layers.Identity() if id(layer) in done else copy(layer)

    return keras.models.clone_model(encoder, clone_function=clone)


def _normalises(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.BatchNormalization)


def _is_folded(first: keras.Layer, second: keras.Layer) -> bool:
    # The small CNN's has a bias, and an activation before its batch normalisation.
    convolution = isinstance(first, (layers.Conv2D, layers.DepthwiseConv2D)) and not first.use_bias
    return convolution and _normalises(second) and not second.trainable


def _activated_convolutions(chain: Sequence[keras.Layer]) -> Iterator[Sequence[keras.Layer]]:
    """The runs of batch normalisation, ReLU, perhaps padding, and a convolution in MobileNetV2's layers.

    Frozen batch normalisation keeps nothing for the gradients, so there is nothing to save.
    """
    for start, (first, second) in enumerate(pairwise(chain)):
        if _normalises(first) and isinstance(second, layers.ReLU) and first.trainable:
            end = start + 2 + isinstance(chain[start + 2], layers.ZeroPadding2D)
            if isinstance(chain[end], (layers.Conv2D, layers.DepthwiseConv2D)):
                yield chain[start : end + 1]


def interpolate_weights(encoders: Sequence[keras.Model], shares: Sequence[float]) -> keras.Model:
    """A new encoder whose weights are a mean of those of encoders with the same layers.

    Between a pretrained encoder and fine-tuned ones, it keeps more of what the first knew about everything
    that the others were not tuned on (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022,
    and "Model soups", ICML 2022, of several fine-tuned encoders). The shares are of each encoder, and add up
    to 1. Batch normalisation must have been frozen: moving statistics have no meaningful mean.
    """
    between = keras.models.clone_model(encoders[0])
    each = zip(*(encoder.get_weights() for encoder in encoders), strict=True)
    between.set_weights([sum(share * one for share, one in zip(shares, same, strict=True)) for same in each])
    return between


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
    embeddings = np.concatenate([forward(images[i : i + BATCH]) for i in range(0, len(images), BATCH)])
    return l2_normalise(embeddings) if unit_length else embeddings
