"""Triplets of an anchor a, a positive p of its category and a negative n of another one.

An encoder f satisfies the triplet condition where

    ||f(a) - f(p)||^2 + margin < ||f(a) - f(n)||^2

(Schroff, Kalenichenko and Philbin, "FaceNet", CVPR 2015). Only a triplet that violates it has a
gradient. Batches of P categories x K images hold many triplets, out of which those are mined that
still teach something (Hermans, Beyer and Leibe, "In Defense of the Triplet Loss", 2017).
"""

from __future__ import annotations

import numpy as np

from retrieval.quietly import tf


def draw_batch(labels: np.ndarray, categories: int, images: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of K random images of each of P random categories.

    Args:
        labels: the category of every image, `[n]`.
        categories: P; all categories are taken where there are no more.
        images: K; a category with fewer is drawn from with replacement.
        rng: decides the draw.

    Returns:
        Integer positions `[P * K]`.
    """
    present = np.unique(labels)
    chosen = rng.choice(present, min(categories, len(present)), replace=False)
    members = (np.flatnonzero(labels == category) for category in chosen)
    return np.concatenate([rng.choice(rows, images, replace=len(rows) < images) for rows in members])


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


def squared_distances(embeddings: tf.Tensor) -> tf.Tensor:
    """Squared Euclidean distances `[n, n]`, in [0, 4], between unit embeddings `[n, dim]`."""
    return tf.maximum(2.0 - 2.0 * tf.matmul(embeddings, embeddings, transpose_b=True), 0.0)


def valid_triplets(labels: tf.Tensor) -> tf.Tensor:
    """Which triplets (a, p, n) of a batch are triplets, boolean `[n, n, n]`.

    Two different images of one category, and one image of another.
    """
    same = labels[:, None] == labels[None, :]
    positive = same & ~tf.eye(tf.shape(labels)[0], dtype=tf.bool)
    return positive[:, :, None] & ~same[:, None, :]


def excess(distances: tf.Tensor, margin: float) -> tf.Tensor:
    """d(a, p) - d(a, n) + margin of every (a, p, n), `[n, n, n]`; positive where it violates."""
    return distances[:, :, None] - distances[:, None, :] + margin


def mine_violating(distances: tf.Tensor, labels: tf.Tensor, margin: float) -> tf.Tensor:
    """Batch-all mining: every valid triplet that violates the condition, int64 `[t, 3]` (a, p, n)."""
    return tf.where(valid_triplets(labels) & (excess(distances, margin) > 0.0))


def mine_hardest(distances: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Batch-hard mining: each anchor's farthest positive and nearest negative, int64 `[n, 3]`.

    Every category must occur at least twice, and not be the only one.
    """
    same = labels[:, None] == labels[None, :]
    positive = same & ~tf.eye(tf.shape(labels)[0], dtype=tf.bool)
    farthest = tf.argmax(tf.where(positive, distances, -1.0), axis=1)
    nearest = tf.argmin(tf.where(same, np.inf, distances), axis=1)
    return tf.stack([tf.range(tf.size(farthest), dtype=tf.int64), farthest, nearest], axis=1)


def triplet_loss(distances: tf.Tensor, triplets: tf.Tensor, margin: float) -> tf.Tensor:
    """Mean of max(0, d(a, p) - d(a, n) + margin) over triplets `[t, 3]`; 0 where there are none."""
    to_positive = tf.gather_nd(distances, triplets[:, :2])
    to_negative = tf.gather_nd(distances, tf.gather(triplets, [0, 2], axis=1))
    losses = tf.nn.relu(to_positive - to_negative + margin)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32))


def violating_shares(distances: tf.Tensor, labels: tf.Tensor, margin: float) -> dict[str, tf.Tensor]:
    """The share of a batch's triplets, in [0, 1], that violate the condition.

    Returns:
        "random": among all valid triplets, what drawing one at random would find;
        "hardest": among those of batch-hard mining.
    """
    violating = tf.shape(mine_violating(distances, labels, margin))[0]
    valid = tf.math.count_nonzero(valid_triplets(labels), dtype=tf.int32)
    hardest = tf.gather_nd(excess(distances, margin), mine_hardest(distances, labels)) > 0.0
    return {"random": violating / valid, "hardest": tf.reduce_mean(tf.cast(hardest, tf.float32))}
