"""Dealing images to train, val and test, inside every category, duplicates together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retrieval.data.dataset import category_of
from retrieval.data.parts import PARTS
from retrieval.errors import RetrievalError

HELD_OUT = 0.2  # the share of val, and that of test


def split(categories: np.ndarray, groups: np.ndarray | None, *, seed: int) -> np.ndarray:
    """Deals images to train, val and test, 60/20/20 inside every category.

    Of a category of n images, round(0.2 n) but at least 1 go to val, and as many to test. Groups of
    several images are dealt first, each to a part drawn in proportion to the room that is left in
    it; single images then fill the room exactly, so that only large groups can move a proportion.

    Args:
        categories: of every image, `[n]`, at least 5 of each.
        groups: integers `[n]`; images of one group, duplicates, stay in one part. None ignores
            duplicates.
        seed: decides the split, together with the order of the images.

    Returns:
        "train", "val" or "test" for every image, `[n]`.

    Raises:
        RetrievalError: the groups leave a part without any image of a category.

    >>> split(np.array(["seal"] * 5 + ["walrus"] * 5), None, seed=0).tolist().count("train")
    6
    """
    names, codes = np.unique(categories, return_inverse=True)
    rng, counts = np.random.default_rng(seed), np.bincount(codes)
    held_out = np.maximum(1, np.round(HELD_OUT * counts)).astype(int)
    room = np.stack([counts - 2 * held_out, held_out, held_out], axis=1)
    targets, parts = room.copy(), np.full(len(codes), -1)
    for rows in _several(groups, rng):
        parts[rows] = _draw_part(room, targets, codes[rows], rng)
        np.subtract.at(room, (codes[rows], parts[rows]), 1)
    for code, name in enumerate(names):
        singles = rng.permutation(np.flatnonzero((codes == code) & (parts < 0)))
        # Train comes last: what large groups took too much of is missing there first.
        order = np.repeat([1, 2, 0], np.maximum(room[code, [1, 2, 0]], 0))
        parts[singles] = order[: len(singles)]
        if missing := set(range(len(PARTS))) - set(parts[codes == code].tolist()):
            raise RetrievalError(
                f"duplicates tie the images of {name} together and leave none for {PARTS[min(missing)]}: "
                "add different images of it, or set SPLIT=plain"
            )
    return np.array(PARTS)[parts]


def index_maps(files: Sequence[str], parts: np.ndarray, groups: np.ndarray) -> dict[str, dict[str, Any]]:
    """The maps from row to file, category and duplicate group of every part, by the artifact's name.

    >>> files, parts = ["yak/1.jpg", "seal/1.jpg", "seal/2.jpg"], np.array(["val", "train", "val"])
    >>> maps = index_maps(files, parts, np.array([0, 1, 1]))
    >>> maps["val_index_category.json"]
    {'0': 'yak', '1': 'seal'}
    >>> maps["val_index_file.json"]
    {'0': 'yak/1.jpg', '1': 'seal/2.jpg'}
    >>> maps["val_index_group.json"]
    {'0': 0, '1': 1}
    """
    columns = {"file": files, "category": [category_of(file) for file in files], "group": groups.tolist()}
    return {
        f"{part}_index_{name}.json": {
            str(row): column[position] for row, position in enumerate(np.flatnonzero(parts == part))
        }
        for part in PARTS
        for name, column in columns.items()
    }


def _several(groups: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
    """The rows of every group of several images, largest groups first, else in random order."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    several = [rows for rows in members if len(rows) > 1]
    return sorted((several[i] for i in rng.permutation(len(several))), key=len, reverse=True)


def _draw_part(room: np.ndarray, targets: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> int:
    """A part for images of the given categories, in proportion to the room it has for them.

    Where no part has room for all of them, the one with most.
    """
    needed = np.bincount(codes, minlength=len(room))
    left = np.where(needed[:, None] > 0, room, 0).sum(axis=0)
    fits = (room >= needed[:, None]).all(axis=0)
    if fits.any():
        return int(rng.choice(len(PARTS), p=left * fits / (left * fits).sum()))
    empty = ((room == targets) & (needed[:, None] > 0)).sum(axis=0)
    return int(np.lexsort((left, empty))[-1])
