"""What features tell of a data set: labels that are likely wrong, and copies that no hash has found."""

import numpy as np
import pandas as pd

from retrieval.data.duplicates import COLUMNS
from retrieval.data.parts import PARTS, Part
from retrieval.features.normalising import l2_normalise
from retrieval.search.neighbours import nearest

NEIGHBOURS = 5


def label_errors(images: Part, parts: np.ndarray) -> pd.DataFrame:
    """Images whose nearest neighbours in the other parts all agree on another category.

    Duplicates are in one part, so none of the five neighbours can be a copy that carries the same
    wrong label. Two animals in one picture are found as well as wrong labels: only looking tells.

    Args:
        images: the whole set; distances are taken at unit length.
        parts: "train", "val" or "test" of each image, `[n]`; every category is in every part.

    Returns:
        A row per likely error, the most suspicious first, with the columns of
        `duplicates.duplicate_pairs`: kind is "suspect", `other_file` the nearest neighbour, distance
        theirs, in [0, 2]. An image is the more suspicious, the farther its nearest neighbour of its own
        category is away, compared with the mean distance of the five.
    """
    unit = l2_normalise(images.features)
    rows = [row for part in PARTS for row in _errors_of(unit, images.categories, parts == part)]
    rows.sort(reverse=True)
    files = images.files
    found = [("suspect", files[image], files[other], distance) for _, image, other, distance in rows]
    return pd.DataFrame(found, columns=COLUMNS).astype({"distance": float})


def lookalikes(images: Part) -> pd.DataFrame:
    """Images and their nearest neighbours that are no known duplicates, the nearest pair first.

    Crops of one photograph and frames of one scene come first; how far down the list they go, only
    looking tells.

    Args:
        images: the whole set; distances are taken at unit length.

    Returns:
        Columns file, other_file and distance, in [0, 2]; every pair once.
    """
    unit = l2_normalise(images.features)
    found, positions = nearest(unit, unit, 1, method="exact", exclude_self=True)
    distances, neighbours = found[:, 0], positions[:, 0]
    rows = np.flatnonzero(images.groups != images.groups[neighbours])
    pairs = {tuple(sorted((row, neighbours[row]))): float(distances[row]) for row in rows}
    table = [(images.files[i], images.files[j], distance) for (i, j), distance in pairs.items()]
    shown = pd.DataFrame(table, columns=COLUMNS[1:])
    return shown.sort_values("distance", kind="stable", ignore_index=True)


def _errors_of(
    unit: np.ndarray, categories: np.ndarray, inside: np.ndarray
) -> list[tuple[float, int, int, float]]:
    """Suspicion, row, row of the nearest neighbour and distance to it, of the likely errors of one part."""
    rows, others = np.flatnonzero(inside), np.flatnonzero(~inside)
    distances, positions = nearest(unit[others], unit[rows], NEIGHBOURS, method="exact")
    neighbours = categories[others][positions]
    agreed = (neighbours == neighbours[:, :1]).all(axis=1) & (neighbours[:, 0] != categories[rows])
    found = []
    for at in np.flatnonzero(agreed):
        own = others[categories[others] == categories[rows[at]]]
        to_own = np.linalg.norm(unit[own] - unit[rows[at]], axis=1).min()
        suspicion = float(to_own / max(distances[at].mean(), 1e-9))
        found.append((suspicion, int(rows[at]), int(others[positions[at, 0]]), float(distances[at, 0])))
    return found
