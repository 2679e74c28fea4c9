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

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from PIL import Image

from retrieval import sample
from retrieval.artifacts import Store
from retrieval.extraction import Describe
from retrieval.fusion import l2_normalise
from retrieval.images import encoded
from retrieval.progress import passing_bar
from retrieval.search import nearest

# Of the validation images, the share that is not called unlike the index.
LEVEL = 0.95
PICTURES, SIZE = 60, 256  # of each kind that is unlike any photograph; pixels on a side


def to_nearest(index: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Distances of queries to the nearest row of the index, both at unit length, float64 `[n_queries]`.

    Args:
        index: features `[n_index, dim]`.
        queries: features `[n_queries, dim]`.

    >>> to_nearest(np.array([[2.0, 0.0], [0.0, 3.0]]), np.array([[0.0, 1.0], [-1.0, 0.0]])).round(3)
    array([0.   , 1.414])
    """
    return _to_nearest(l2_normalise(index), l2_normalise(queries))


def to_other_categories(
    index: np.ndarray, queries: np.ndarray, index_categories: np.ndarray, query_categories: np.ndarray
) -> np.ndarray:
    """As `to_nearest`, where the index lacks the query's category: as if it had been left out.

    Args:
        index: features `[n_index, dim]`, of at least 2 categories.
        queries: features `[n_queries, dim]`.
        index_categories: `[n_index]`.
        query_categories: `[n_queries]`.
    """
    index, queries, distances = l2_normalise(index), l2_normalise(queries), np.empty(len(queries))
    for category in passing_bar(np.unique(query_categories), "leaving out", unit="category"):
        rows = query_categories == category
        distances[rows] = _to_nearest(index[index_categories != category], queries[rows])
    return distances


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


def describe_unlike(describe: Describe, *, drawings: bool, seed: int) -> dict[str, np.ndarray]:
    """Features `[60, dim]` of pictures that are unlike photographs, by kind.

    Args:
        describe: from what is in an image file to its features; called by several threads.
        drawings: whether invented animals are among the kinds: not where the index is made of them.
        seed: of the pictures.
    """
    rng, sides = np.random.default_rng(seed), {"plain colours": 1, "colour gradients": 2, "noise": SIZE}
    kinds = {name: [_blown_up(side, rng) for _ in range(PICTURES)] for name, side in sides.items()}
    if drawings:
        animals = rng.choice(list(sample.ANIMALS), PICTURES)
        kinds["drawings"] = [sample.photograph(animal, rng) for animal in animals]
    to_png = partial(encoded, kind="PNG")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {
            name: np.stack([*pool.map(describe, map(to_png, pictures))]) for name, pictures in kinds.items()
        }


def _to_nearest(index: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return nearest(index, queries, 1, method="exact")[0][:, 0]


def _blown_up(side: int, rng: np.random.Generator) -> Image.Image:
    """Random pixels, `side` x `side`, drawn out smoothly to 256 x 256."""
    pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
