"""Proxies: one learned point on the unit sphere per category, in place of positives and negatives.

An image is pulled towards the proxy of its category and away from all others. A triplet compares an anchor
with one positive and one negative; here every step compares it with every category, and there is nothing to
mine (Movshovitz-Attias et al., "No Fuss Distance Metric Learning using Proxies", ICCV 2017; Zhai and Wu,
"Classification is a Strong Baseline for Deep Metric Learning", BMVC 2019).
"""

import numpy as np

from retrieval.encoders.tensorflow_quiet import keras, tf
from retrieval.features.normalising import l2_normalise

# The length of proxies. Adam takes steps of about the learning rate, so a proxy of length 0.1 turns ten times
# as fast as a unit vector. Proxies start farther from their goal than the pretrained encoder.
PROXY_LENGTH = 0.1


def with_proxies(encoder: keras.Model, proxies: np.ndarray) -> keras.Model:
    """An encoder followed by the cosines, `[n, n_categories]`, between its embedding and every proxy.

    The proxies start at `proxies`, `[n_categories, dim]`, of any length, and are trained with the encoder.
    """
    length = keras.constraints.MinMaxNorm(PROXY_LENGTH, PROXY_LENGTH, axis=0)
    head = keras.layers.Dense(len(proxies), use_bias=False, kernel_constraint=length, name="proxies")
    rescaling = keras.layers.Rescaling(1 / PROXY_LENGTH)
    model = keras.Sequential([encoder, keras.layers.UnitNormalization(), head, rescaling])
    head.set_weights([PROXY_LENGTH * l2_normalise(proxies).T])
    return model


def without_proxies(model: keras.Model) -> tuple[keras.Model, np.ndarray]:
    """The encoder that `with_proxies` was given, and the trained proxies, unit rows `[n_categories, dim]`."""
    return model.layers[0], l2_normalise(model.get_layer("proxies").get_weights()[0].T)


def category_means(features: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Where proxies start: the mean direction of each category, in sorted order, `[n_categories, dim]`.

    The encoder gives the features `[n, dim]` before training; the categories are `[n]`.
    Random proxies would first drag the features of a pretrained encoder in wrong directions, and spoil what
    it knows (Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
    Out-of-Distribution", ICLR 2022).

    >>> category_means(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array(["b", "a", "b"]))
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    unit = l2_normalise(features)
    return np.stack([unit[categories == category].mean(axis=0) for category in np.unique(categories)])


def normalised_softmax(
    cosines: tf.Tensor, labels: tf.Tensor, *, scale: float, smoothing: float
) -> dict[str, tf.Tensor]:
    """The mean cross-entropy ("loss"), and the share of images whose nearest proxy is right ("accuracy").

    The cross-entropy is between softmax(scale * cosines), `[n, n_categories]`, and smoothed labels, `[n]`.

    Args:
        scale: inverse temperature; cosines alone, between -1 and 1, could never make softmax certain.
        smoothing: share in [0, 1) of every target that is spread over all categories (Szegedy et al.,
            "Rethinking the Inception Architecture for Computer Vision", CVPR 2016).
    """
    targets = keras.ops.one_hot(labels, cosines.shape[1])
    loss = keras.losses.categorical_crossentropy(
        targets, scale * cosines, from_logits=True, label_smoothing=smoothing
    )
    right = tf.argmax(cosines, axis=1) == tf.cast(labels, tf.int64)
    return {"loss": tf.reduce_mean(loss), "accuracy": tf.reduce_mean(tf.cast(right, tf.float32))}
