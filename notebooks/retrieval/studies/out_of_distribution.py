"""Queries that the gallery has nothing like: a category left out of it, and pictures of no animal at all."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from retrieval.data.images import encoded
from retrieval.data.sample import drawing
from retrieval.features.normalising import l2_normalise
from retrieval.progress import passing_bar
from retrieval.search.neighbours import nearest

if TYPE_CHECKING:
    from retrieval.data.parts import Part
    from retrieval.features.extraction import Describe

PICTURES, SIZE = 60, 256  # of each kind that is unlike any photograph; pixels on a side


def to_other_categories(gallery: Part, queries: Part) -> np.ndarray:
    """Distances to the nearest image of another category, at unit length, float64 `[n_queries]`.

    They are what `open_set.to_nearest` would give if the query's category were missing from the gallery.

    Args:
        gallery: of at least 2 categories.
        queries: their categories are left out in turn.
    """
    rows, asked = l2_normalise(gallery.features), l2_normalise(queries.features)
    distances = np.empty(len(queries))
    for category in passing_bar(np.unique(queries.categories), "leaving out", unit="category"):
        own, others = queries.categories == category, gallery.categories != category
        distances[own] = nearest(rows[others], asked[own], 1, method="exact")[0][:, 0]
    return distances


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """The chance that a picture from outside is farther from the gallery than one from inside, in [0, 1].

    This is the area under the ROC curve over all limits; an equal distance counts half (Fawcett, "An
    introduction to ROC analysis", Pattern Recognition Letters 27(8), 2006).

    Args:
        inside: distances of pictures that the gallery has something like, `[n]`.
        outside: distances of pictures that it has nothing like, `[m]`.

    >>> auroc(np.array([0.1, 0.3]), np.array([0.2, 0.4]))
    0.75
    """
    from sklearn.metrics import roc_auc_score

    is_outside = np.repeat([False, True], [len(inside), len(outside)])
    return float(roc_auc_score(is_outside, np.concatenate([inside, outside])))


def describe_unlike(describe: Describe, *, drawings: bool, seed: int) -> dict[str, np.ndarray]:
    """Features `[60, dim]` of pictures that are unlike photographs, by kind.

    Args:
        describe: from what is in an image file to its features; called by several threads.
        drawings: whether invented animals are among the kinds: not if the gallery is made of them.
        seed: of the pictures.
    """
    rng, sides = np.random.default_rng(seed), {"plain colours": 1, "colour gradients": 2, "noise": SIZE}
    kinds = {name: [_blown_up(side, rng) for _ in range(PICTURES)] for name, side in sides.items()}
    if drawings:
        animals = rng.choice(list(drawing.ANIMALS), PICTURES)
        kinds["drawings"] = [drawing.photograph(animal, rng) for animal in animals]
    to_png = partial(encoded, kind="PNG")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {
            name: np.stack([*pool.map(describe, map(to_png, pictures))]) for name, pictures in kinds.items()
        }


def _blown_up(side: int, rng: np.random.Generator) -> Image.Image:
    """Random pixels, `side` x `side`, enlarged to 256 x 256 by bilinear resizing."""
    pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
