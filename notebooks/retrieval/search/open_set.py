"""Open-set detection: whether the gallery has anything like a picture, told by its nearest image.

How far is too far? The validation images say it: they are of the same kind as the gallery, but none of them
is in it, and in the grouped split no copy of one is either. If a picture is farther from its nearest image
than almost all validation images are from theirs, the gallery has nothing like it.

All distances are between rows of unit length, whichever features they are of. One study supports the rule,
with plain MobileNetV2 on the photographs of 45 mammals: validation images, asked of train with and without
their category (`studies.out_of_distribution.by_depth`). AUROC is 0.886 at unit length, and 0.724 without. The
distance to the fifth nearest image (Sun, Ming, Zhu and Li, "Out-of-distribution detection with deep nearest
neighbors", ICML 2022) has 0.898, but at a limit that keeps 95 % the difference is undecided, and a small
category has no five images: the nearest serves. Other encoders and photographs may differ; more/f_open_set
measures those at hand.
"""

import numpy as np

from retrieval.features.normalising import l2_normalise
from retrieval.search.neighbours import nearest

LEVEL = 0.95  # the share of the validation images that the gallery has something like


def to_nearest(index: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Distances, float64 `[n_queries]`, to the nearest row of the index, both `[n, dim]`, at unit length.

    >>> to_nearest(np.array([[2.0, 0.0], [0.0, 3.0]]), np.array([[0.0, 1.0], [-1.0, 0.0]])).round(3)
    array([0.   , 1.414])
    """
    return nearest(l2_normalise(index), l2_normalise(queries), 1, method="exact")[0][:, 0]


def calibrate(gallery: np.ndarray, validation: np.ndarray) -> np.ndarray:
    """The distances of all validation images to the nearest of the gallery, ascending, float32 `[n_val]`.

    Both are features `[n, dim]`, and no image is in both. `<features>_open_set.npy` is this as a column.

    >>> calibrate(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [2.0, 0.0]])).round(3)
    array([0.   , 1.414], dtype=float32)
    """
    return np.sort(to_nearest(gallery, validation)).astype(np.float32)


def limit(calibration: np.ndarray) -> float:
    """The distance from which on the gallery has nothing like a picture, from what `calibrate` gave.

    >>> limit(np.arange(101.0))
    95.0
    """
    return float(np.quantile(calibration, LEVEL))
