"""Batches of positions, and the random variation of every image each time it is used."""

import numpy as np

from retrieval.encoders.tensorflow_quiet import tf


def draw_batch(labels: np.ndarray, categories: int, images: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of K random images of each of P random categories, integers `[P * K]`.

    The labels `[n]` say the category of every image. All categories are taken if there are no more than P. A
    category with fewer than K images is drawn from with replacement.
    """
    present = np.unique(labels)
    chosen = rng.choice(present, min(categories, len(present)), replace=False)
    members = (np.flatnonzero(labels == category) for category in chosen)
    return np.concatenate([rng.choice(rows, images, replace=len(rows) < images) for rows in members])


def shuffled_batches(n: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of n images in random order, none twice, integers `[n_batches, batch]`.

    What does not fill a batch is left out. If there are fewer images than a batch has, all are one batch.
    """
    batches = max(1, n // batch)
    return rng.permutation(n)[: batches * batch].reshape(batches, -1)


def draw_crops(n: int, least_area: float, rng: np.random.Generator) -> np.ndarray:
    """Random crops, half of them mirrored, float32 `[n, 4]` (y1, x1, y2, x2) within [0, 1].

    The share of the area is uniform in [least_area, 1], the aspect ratio log-uniform in
    [3/4, 4/3]. A crop with x1 > x2 is mirrored.
    """
    area = rng.uniform(least_area, 1.0, n)
    aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), n))
    height = np.minimum(np.sqrt(area / aspect), 1.0)
    width = np.minimum(np.sqrt(area * aspect), 1.0)
    top, left = rng.uniform(0.0, 1.0 - height), rng.uniform(0.0, 1.0 - width)
    mirrored = rng.random(n) < 0.5
    x1, x2 = np.where(mirrored, left + width, left), np.where(mirrored, left, left + width)
    return np.stack([top, x1, top + height, x2], axis=1).astype(np.float32)


def draw_colours(n: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Random factors of brightness, contrast and saturation, float32 `[n, 3]`, within 1 +- strength."""
    return rng.uniform(1.0 - strength, 1.0 + strength, (n, 3)).astype(np.float32)


def vary(images: tf.Tensor, crops: tf.Tensor, colours: tf.Tensor, size: int) -> tf.Tensor:
    """Images `[n, h, w, 3]` in other crops, sizes and colours, `[n, size, size, 3]`, all in [-1, 1].

    Crops `[n, 4]` and colours `[n, 3]` are as `draw_crops` and `draw_colours` give them.
    """
    brightness, contrast, saturation = tf.split(colours[:, None, None], 3, axis=3)
    pixels = tf.image.crop_and_resize(images, crops, tf.range(tf.shape(images)[0]), (size, size))
    pixels = (pixels + 1.0) * brightness
    mean = tf.reduce_mean(pixels, axis=(1, 2, 3), keepdims=True)
    pixels = mean + contrast * (pixels - mean)
    grey = tf.reduce_mean(pixels, axis=3, keepdims=True)
    pixels = grey + saturation * (pixels - grey)
    return tf.clip_by_value(pixels, 0.0, 2.0) - 1.0
