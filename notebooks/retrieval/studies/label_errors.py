"""What features tell of a data set: labels that are likely wrong, copies that no hash has found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retrieval.data.dataset import category_of
from retrieval.data.duplicates import COLUMNS
from retrieval.data.splitting import PARTS
from retrieval.features.normalising import l2_normalise
from retrieval.search.neighbours import nearest

NEIGHBOURS = 5


def suspect_labels(vectors: np.ndarray, files: Sequence[str], parts: np.ndarray) -> pd.DataFrame:
    """Images whose nearest neighbours in the other parts all agree on another category.

    With duplicates kept in one part, none of the five neighbours can be a copy that carries the same
    wrong label. Two animals in one picture are found as well as wrong labels: only looking tells.

    Args:
        vectors: features `[n, dim]`; distances are taken at unit length.
        files: their files, `[n]`.
        parts: "train", "val" or "test" of each, `[n]`; every category is in every part.

    Returns:
        A row per suspect, the most suspicious first, with the columns of `audit.duplicate_pairs`:
        kind is "suspect", `other_file` the nearest neighbour, distance theirs, in [0, 2]. An image is
        the more suspicious, the farther its nearest neighbour of its own category is away, compared
        with the mean distance of the five.
    """
    unit, categories = l2_normalise(vectors), np.array([category_of(file) for file in files])
    rows = [row for part in PARTS for row in _suspects_of(unit, categories, parts == part)]
    rows.sort(reverse=True)
    found = [("suspect", files[image], files[other], distance) for _, image, other, distance in rows]
    return pd.DataFrame(found, columns=COLUMNS).astype({"distance": float})


def lookalikes(vectors: np.ndarray, files: Sequence[str], groups: np.ndarray) -> pd.DataFrame:
    """Images and their nearest neighbours where these are no known duplicates, the nearest first.

    Crops of one photograph and frames of one scene come first; how far down the list they go, only
    looking tells.

    Args:
        vectors: features `[n, dim]`; distances are taken at unit length.
        files: their files, `[n]`.
        groups: integers `[n]`, the same for known duplicates.

    Returns:
        Columns file, other_file and distance, in [0, 2]; every pair once.
    """
    unit = l2_normalise(vectors)
    distances, neighbours = (
        column[:, 0] for column in nearest(unit, unit, 1, method="exact", exclude_self=True)
    )
    rows = np.flatnonzero(groups != groups[neighbours])
    pairs = {tuple(sorted((row, neighbours[row]))): distances[row] for row in rows}
    found = [(files[i], files[j], float(distance)) for (i, j), distance in pairs.items()]
    table = pd.DataFrame(found, columns=COLUMNS[1:])
    return table.sort_values("distance", kind="stable", ignore_index=True)


def _suspects_of(
    unit: np.ndarray, categories: np.ndarray, inside: np.ndarray
) -> list[tuple[float, int, int, float]]:
    """Suspicion, row, row of the nearest neighbour and distance to it, of the suspects of one part."""
    rows, others = np.flatnonzero(inside), np.flatnonzero(~inside)
    distances, positions = nearest(unit[others], unit[rows], min(NEIGHBOURS, len(others)), method="exact")
    neighbours = categories[others][positions]
    agreed = (neighbours == neighbours[:, :1]).all(axis=1) & (neighbours[:, 0] != categories[rows])
    found = []
    for at in np.flatnonzero(agreed):
        own = others[categories[others] == categories[rows[at]]]
        to_own = np.linalg.norm(unit[own] - unit[rows[at]], axis=1).min()
        suspicion = float(to_own / max(distances[at].mean(), 1e-9))
        found.append((suspicion, int(rows[at]), int(others[positions[at, 0]]), float(distances[at, 0])))
    return found
