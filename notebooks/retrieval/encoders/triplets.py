"""Triplets of an anchor a, a positive p of its category and a negative n of another one.

An encoder f satisfies the triplet condition if

    ||f(a) - f(p)||^2 + margin < ||f(a) - f(n)||^2

(Schroff, Kalenichenko and Philbin, "FaceNet", CVPR 2015). Only a triplet that violates it has a
gradient. A batch of P categories x K images holds many triplets. Mining picks those that still teach
something (Hermans, Beyer and Leibe, "In Defense of the Triplet Loss", 2017).
"""

from retrieval.encoders.tensorflow_quiet import tf


def squared_distances(embeddings: tf.Tensor) -> tf.Tensor:
    """Squared Euclidean distances `[n, n]` between embeddings `[n, dim]`; in [0, 4] at unit length."""
    lengths = tf.reduce_sum(embeddings**2, axis=1)
    products = tf.matmul(embeddings, embeddings, transpose_b=True)
    return tf.maximum(lengths[:, None] + lengths[None, :] - 2.0 * products, 0.0)


def valid_triplets(labels: tf.Tensor) -> tf.Tensor:
    """Which triplets (a, p, n) of a batch are triplets, boolean `[n, n, n]`.

    Two different images of one category, and one image of another.
    """
    positive, negative = _pairs(labels)
    return positive[:, :, None] & negative[:, None, :]


def excess(distances: tf.Tensor, margin: float) -> tf.Tensor:
    """d(a, p) - d(a, n) + margin of every (a, p, n), `[n, n, n]`; positive if it violates."""
    return distances[:, :, None] - distances[:, None, :] + margin


def mine_violating(distances: tf.Tensor, labels: tf.Tensor, margin: float) -> tf.Tensor:
    """Batch-all mining: every valid triplet that violates the condition, int64 `[t, 3]` (a, p, n)."""
    return tf.where(valid_triplets(labels) & (excess(distances, margin) > 0.0))


def mine_hardest(distances: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Batch-hard mining: each anchor's farthest positive and nearest negative, int64 `[n, 3]`.

    Every category must occur at least twice, and not be the only one.
    """
    positive, negative = _pairs(labels)
    farthest = tf.argmax(tf.where(positive, distances, -1.0), axis=1)
    nearest = tf.argmin(tf.where(negative, distances, float("inf")), axis=1)
    return tf.stack([tf.range(tf.size(farthest), dtype=tf.int64), farthest, nearest], axis=1)


def mine_random(labels: tf.Tensor) -> tf.Tensor:
    """No mining: for each anchor any positive and any negative, whether they violate or not, `[n, 3]`.

    Every category must occur at least twice, and not be the only one.
    """
    return mine_hardest(tf.random.uniform((tf.size(labels), tf.size(labels))), labels)


MINING = {
    "violating": mine_violating,
    "hardest": lambda distances, labels, margin: mine_hardest(distances, labels),
    "random": lambda distances, labels, margin: mine_random(labels),
}


def hinge(
    embeddings: tf.Tensor,
    labels: tf.Tensor,
    *,
    margin: float,
    mining: str = "violating",
    unit_length: bool = True,
) -> dict[str, tf.Tensor]:
    """The triplet loss of embeddings `[n, dim]` ("loss"), and what `violating_shares` gives.

    Args:
        labels: integers `[n]`.
        margin: in squared distance; on the unit sphere within [0, 4].
        mining: "violating" (batch-all), "hardest" (batch-hard) or "random".
        unit_length: whether embeddings are first put on the unit sphere.
    """
    if unit_length:
        embeddings = tf.math.l2_normalize(embeddings, axis=1)
    distances = squared_distances(embeddings)
    loss = mean_hinge(distances, MINING[mining](distances, labels, margin), margin)
    return {"loss": loss, **violating_shares(distances, labels, margin)}


def mean_hinge(distances: tf.Tensor, triplets: tf.Tensor, margin: float) -> tf.Tensor:
    """Mean of max(0, d(a, p) - d(a, n) + margin) over triplets `[t, 3]`; 0 if there are none."""
    to_positive = tf.gather_nd(distances, triplets[:, :2])
    to_negative = tf.gather_nd(distances, tf.gather(triplets, [0, 2], axis=1))
    losses = tf.nn.relu(to_positive - to_negative + margin)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32))


def violating_shares(distances: tf.Tensor, labels: tf.Tensor, margin: float) -> dict[str, tf.Tensor]:
    """The share of a batch's triplets, in [0, 1], that violate the condition.

    "random" is the share among all valid triplets, "hardest" among those of batch-hard mining.
    """
    violating = tf.shape(mine_violating(distances, labels, margin))[0]
    valid = tf.math.count_nonzero(valid_triplets(labels), dtype=tf.int32)
    hardest = tf.gather_nd(excess(distances, margin), mine_hardest(distances, labels)) > 0.0
    return {"random": violating / valid, "hardest": tf.reduce_mean(tf.cast(hardest, tf.float32))}


def _pairs(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Which pairs are two images of one category, and which are of two categories, boolean `[n, n]` each."""
    same = labels[:, None] == labels[None, :]
    return same & ~tf.eye(tf.shape(labels)[0], dtype=tf.bool), ~same
