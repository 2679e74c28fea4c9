"""Features on a map that a page draws: a dot for every image, a thumbnail for every dot, and all in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from retrieval.data.images import load_images
from retrieval.search.neighbours import nearest
from retrieval.views.grids import data_uri
from retrieval.views.style import hue

if TYPE_CHECKING:
    pass


def tsne(features: np.ndarray, *, seed: int) -> np.ndarray:
    """Features laid out on a plane so that neighbours stay neighbours: a map to look at.

    t-SNE (van der Maaten and Hinton, "Visualizing data using t-SNE", 2008) of the first 50 principal
    components, which makes it faster and changes little. Distances between islands mean little.

    Args:
        features: `[n, dim]`, two rows or more.
        seed: of both steps.

    Returns:
        Points, float32 `[n, 2]`, without a unit.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    reduced = PCA(min(50, *features.shape), random_state=seed).fit_transform(features)
    # A perplexity is a number of neighbours; one component is too few to start from.
    perplexity = max(1, min(30, (len(reduced) - 1) // 3))
    init = "pca" if reduced.shape[1] > 1 else "random"
    # Its threads wait for each other thousands of times: beside other work, two of them took 91 s for
    # 2,752 images, and one 24 s, for the same points.
    with threadpool_limits(1, user_api="openmp"):
        return TSNE(perplexity=perplexity, init=init, random_state=seed).fit_transform(reduced)


# The thumbnails of so many stay below 14 MB even if they are all noise; photographs take a fifth of that.
MOST_POINTS = 3000
THUMBNAIL, SHEET_COLUMNS = 48, 64  # pixels a side, thumbnails in a line
SIDE, MARGIN = 1000, 30  # of the map, in its own units


COMMONEST = 3  # categories that are named as retrieved instead of another


def layout(features: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Where on the map images lie: all of them, or `MOST_POINTS` drawn at random.

    Args:
        features: `[n, dim]`.
        seed: of the layout and the draw.

    Returns:
        Points `[m, 2]` in the units of the map, within its margin, and the rows of the features, `[m]`.
    """
    rows = np.arange(len(features))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_POINTS, replace=False))
    points = tsne(features[rows], seed=seed).astype(float)
    points -= points.min(axis=0)
    return (MARGIN + points * ((SIDE - 2 * MARGIN) / points.max())).round(1), rows


def drawing(points: np.ndarray, files: Sequence[str], categories: np.ndarray, root: Path) -> dict[str, Any]:
    """What the page needs to draw the map.

    Args:
        points: as `layout`, `[m, 2]`.
        files: of the images, `[m]`.
        categories: of the images, `[m]`.
        root: folder of the data set.

    Returns:
        side; for every category, by name, a layer with its name, hue in degrees, dots as an SVG path and
        the middle of these; sheet, the data URI of all thumbnails; points, for the page's script: where
        each is, its file, its layer, and how to find its thumbnail on the sheet.

    Raises:
        RetrievalError: an image cannot be read.
    """
    names, numbers = np.unique(categories, return_inverse=True)
    layers = [
        {
            "name": name,
            "hue": round(hue(number)),
            # A line of no length with round ends is a dot, of the same size however near one looks.
            "dots": "".join(f"M{x:g} {y:g}h0" for x, y in points[numbers == number]),
            "middle": np.median(points[numbers == number], axis=0).tolist(),
        }
        for number, name in enumerate(names)
    ]
    thumbnails = load_images(root, files, THUMBNAIL)
    return {
        "side": SIDE,
        "layers": layers,
        "sheet": data_uri(_sheet(thumbnails)),
        "points": {
            "at": points.tolist(),
            "files": list(files),
            "layers": numbers.tolist(),
            "columns": SHEET_COLUMNS,
        },
    }


def in_words(counts: pd.DataFrame, points: np.ndarray, categories: np.ndarray) -> list[dict[str, Any]]:
    """What the map shows, and what retrieval confuses, without a picture.

    Args:
        counts: as `metrics.confusion`.
        points: as `layout`, `[m, 2]`.
        categories: of the points, `[m]`.

    Returns:
        For every category on the map, by name: category; right, its share in [0, 1] of what was retrieved
        for its queries; instead, the shares of what else was retrieved most; beside, the two categories
        whose middles are nearest.
    """
    names = np.unique(categories)
    middles = np.array([np.median(points[categories == name], axis=0) for name in names])
    _, beside = nearest(middles, middles, min(2, len(names) - 1), method="exact", exclude_self=True)
    rows = []
    for name, others in zip(names, beside, strict=True):
        shares = counts.loc[name] / counts.loc[name].sum()
        instead = shares[shares > 0].drop(name, errors="ignore").nlargest(COMMONEST)
        rows.append(
            {
                "category": name,
                "right": shares[name],
                "instead": instead.to_dict(),
                "beside": names[others].tolist(),
            }
        )
    return rows


def _sheet(thumbnails: np.ndarray) -> np.ndarray:
    """Thumbnails `[m, side, side, 3]` in lines of `SHEET_COLUMNS`, as one image."""
    side = thumbnails.shape[1]
    missing = -len(thumbnails) % SHEET_COLUMNS
    padded = np.concatenate([thumbnails, np.zeros((missing, side, side, 3), np.uint8)])
    lines = padded.reshape(-1, SHEET_COLUMNS, side, side, 3).swapaxes(1, 2)
    return lines.reshape(-1, SHEET_COLUMNS * side, 3)
