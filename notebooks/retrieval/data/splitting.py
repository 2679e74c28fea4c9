"""The split into train, val and test, inside every category, duplicates together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from retrieval.data.dataset import category_of
from retrieval.data.parts import PARTS
from retrieval.errors import RetrievalError

HELD_OUT = 0.2  # the share of val, and of test


def split(categories: np.ndarray, groups: np.ndarray | None, *, seed: int) -> np.ndarray:
    """The part of every image, `[n]`: "train", "val" or "test", 60/20/20 inside every category.

    Of n images of a category, round(0.2 n) but at least 1 go to val, and as many to test. Duplicate
    groups are assigned first, at random, in proportion to the free places of each part. Single
    images fill the rest, so the proportions are exact unless groups are large. If a part then has
    no image of some category, the fewest images are moved that mend it.

    Args:
        categories: of every image, `[n]`, at least 5 of each.
        groups: integers `[n]`; images of one group stay in one part. None ignores duplicates.
        seed: decides the split, together with the order of the images.

    Raises:
        RetrievalError: no split keeps the groups and gives every part an image of every category.

    >>> split(np.array(["seal"] * 5 + ["walrus"] * 5), None, seed=0).tolist().count("train")
    6
    """
    groups = np.arange(len(categories)) if groups is None else groups
    names, codes = np.unique(categories, return_inverse=True)
    parts = _deal(codes, groups, np.random.default_rng(seed))
    counts = np.bincount(3 * codes + parts, minlength=3 * len(names)).reshape(-1, 3)
    if counts.all():
        return np.array(PARTS)[parts]
    if (mended := _mend(parts, codes, groups)) is None:
        # Of the categories that a part lacks, name the one with the fewest groups.
        lacking = np.flatnonzero(~counts.all(axis=1))
        code = min(lacking, key=lambda code: len(np.unique(groups[codes == code])))
        raise RetrievalError(
            f"duplicates tie the images of {names[code] or 'the folder'} together and leave none for "
            f"{PARTS[counts[code].argmin()]}: add different images of it, or set SPLIT=plain"
        )
    return np.array(PARTS)[mended]


def index_maps(files: Sequence[str], parts: np.ndarray, groups: np.ndarray) -> dict[str, dict[str, Any]]:
    """The maps from row to file, category and duplicate group of every part, by the artifact's name."""
    columns = {"file": files, "category": [category_of(file) for file in files], "group": groups.tolist()}
    return {
        f"{part}_index_{name}.json": {
            str(row): column[position] for row, position in enumerate(np.flatnonzero(parts == part))
        }
        for part in PARTS
        for name, column in columns.items()
    }


def _deal(codes: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part 0, 1 or 2 for every image: first the groups, the largest first, then single images."""
    counts = np.bincount(codes)
    held_out = np.maximum(1, np.round(HELD_OUT * counts)).astype(int)
    room = np.stack([counts - 2 * held_out, held_out, held_out], axis=1)
    targets, parts = room.copy(), np.full(len(codes), -1)
    for rows in _several(groups, rng):
        parts[rows] = _draw_part(room, targets, codes[rows], rng)
        np.subtract.at(room, (codes[rows], parts[rows]), 1)
    for code in range(len(counts)):
        singles = rng.permutation(np.flatnonzero((codes == code) & (parts < 0)))
        # Train comes last, so it bears what large groups took too much of.
        order = np.repeat([1, 2, 0], np.maximum(room[code, [1, 2, 0]], 0))
        parts[singles] = order[: len(singles)]
    return parts


def _several(groups: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """The rows of every group of several images, the largest first, equal ones in random order."""
    numbers, sizes = np.unique(groups, return_counts=True)
    several = [np.flatnonzero(groups == number) for number in rng.permutation(numbers[sizes > 1])]
    return sorted(several, key=len, reverse=True)


def _draw_part(room: np.ndarray, targets: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> int:
    """A part for images of the given categories, drawn in proportion to the room that it has left.

    If they fit nowhere, it is the part that has filled the smallest share of its room.
    """
    needed = np.bincount(codes, minlength=len(room))
    fits = (room >= needed[:, None]).all(axis=0)
    if not fits.any():
        return int((room / targets)[needed > 0].sum(axis=0).argmax())
    left = room[needed > 0].sum(axis=0) * fits
    return int(rng.choice(3, p=left / left.sum()))


def _mend(parts: np.ndarray, codes: np.ndarray, groups: np.ndarray) -> np.ndarray | None:
    """As `parts`, with the fewest images moved that give every part one of each category; or None.

    An integer program, x[group, part] in {0, 1}: it finds a solution if there is one.
    """
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import csr_array, eye_array, kron

    _, first, group_of, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    code, group = np.unique(np.stack([codes, group_of]), axis=1)
    holds = csr_array((np.ones(len(group)), (code, group)))
    cost = np.ravel(sizes[:, None] * (parts[first][:, None] != np.arange(3)))
    one_part = LinearConstraint(kron(eye_array(len(sizes)), np.ones((1, 3))), 1, 1)
    none_empty = LinearConstraint(kron(holds, eye_array(3)), 1)
    found = milp(cost, integrality=np.ones(len(cost)), constraints=[one_part, none_empty])
    return None if found.x is None else found.x.reshape(-1, 3).argmax(axis=1)[group_of]
