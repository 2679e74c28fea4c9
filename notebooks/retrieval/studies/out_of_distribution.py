"""Queries that the gallery has nothing like: a category left out of it, and pictures of no animal at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from retrieval.data.images import encoded
from retrieval.data.sample import drawing
from retrieval.progress import passing_bar
from retrieval.search.neighbours import nearest

if TYPE_CHECKING:
    import pandas as pd

    from retrieval.data.parts import Part
    from retrieval.features.extraction import Describe

DEPTHS = (1, 5, 10, 20, 50)  # nearest images to take the distance from
PICTURES, SIZE = 60, 256  # of each kind that is unlike any photograph; pixels on a side


def to_other_categories(gallery: Part, queries: Part, *, k: int = 1) -> np.ndarray:
    """Distances to the k nearest images of other categories, ascending, float64 `[n_queries, k]`.

    They are what a query would find if its category were missing from the gallery.

    Args:
        gallery: of at least 2 categories, and k images of other categories for each query.
        queries: their categories are left out in turn.
    """
    distances = np.empty((len(queries), k))
    for category in passing_bar(np.unique(queries.categories), "leaving out", unit="category"):
        own, others = queries.categories == category, gallery.categories != category
        found = nearest(gallery.features[others], queries.features[own], k, method="exact")
        distances[own] = found[0]
    return distances


def by_depth(gallery: Part, queries: Part) -> pd.DataFrame:
    """How well the distance to the k-th nearest image tells whether the gallery has a query's category.

    Each query is asked twice: of the whole gallery, and of the gallery without its category. So no other
    pictures are needed to choose k (Sun, Ming, Zhu and Li, "Out-of-distribution detection with deep nearest
    neighbors", ICML 2022, take the k-th nearest at unit length).

    Returns:
        A row for each k of `DEPTHS` for which there are images enough, with the columns AUROC and FPR95.
    """
    largest = np.unique(gallery.categories, return_counts=True)[1].max()
    depths = [k for k in DEPTHS if k <= len(gallery) - largest]
    inside = nearest(gallery.features, queries.features, depths[-1], method="exact")[0]
    outside = to_other_categories(gallery, queries, k=depths[-1])
    return separation({k: (inside[:, k - 1], outside[:, k - 1]) for k in depths}).rename_axis("k")


def separation(kinds: Mapping[Any, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """`auroc` and `fpr95` of distances (inside, outside) by kind: a row for each, columns AUROC and FPR95."""
    import pandas as pd

    rows = {kind: (auroc(*distances), fpr95(*distances)) for kind, distances in kinds.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["AUROC", "FPR95"])


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


def fpr95(inside: np.ndarray, outside: np.ndarray) -> float:
    """The share of pictures from outside that are taken for inside, in [0, 1]; 0 is perfect.

    The positive class is *inside*: the limit is the least that keeps 95 % of `inside` (a recall, or true
    positive rate, of 95 %), and the false positives are the pictures from outside within it. So it is defined
    in papers on out-of-distribution detection (Liang, Li and Srikant, "Enhancing the reliability of
    out-of-distribution image detection in neural networks", ICLR 2018, section 4.2).

    Args:
        inside: distances of pictures that the gallery has something like, `[n]`.
        outside: distances of pictures that it has nothing like, `[m]`.

    >>> fpr95(np.arange(100.0), np.array([50.0, 94.0, 94.5, 200.0]))
    0.5
    """
    limit = np.quantile(inside, 0.95, method="inverted_cdf")
    return float((outside <= limit).mean())


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
