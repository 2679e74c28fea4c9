"""Queries that the gallery has nothing like: a category left out of it, and pictures of no animal at all."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from PIL import Image

from retrieval.data.images import encoded
from retrieval.data.sample import drawing
from retrieval.features.extraction import Describe
from retrieval.features.normalising import l2_normalise
from retrieval.progress import passing_bar
from retrieval.search.open_set import _to_nearest

PICTURES, SIZE = 60, 256  # of each kind that is unlike any photograph; pixels on a side


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
        animals = rng.choice(list(drawing.ANIMALS), PICTURES)
        kinds["drawings"] = [drawing.photograph(animal, rng) for animal in animals]
    to_png = partial(encoded, kind="PNG")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {
            name: np.stack([*pool.map(describe, map(to_png, pictures))]) for name, pictures in kinds.items()
        }


def _blown_up(side: int, rng: np.random.Generator) -> Image.Image:
    """Random pixels, `side` x `side`, drawn out smoothly to 256 x 256."""
    pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
