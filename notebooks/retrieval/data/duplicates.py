"""Duplicates: the same photograph twice, perhaps under two labels."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from retrieval.data.dataset import category_of
from retrieval.data.inspection import HASH_SIZE, Inspection
from retrieval.data.parts import PARTS
from retrieval.progress import passing_bar

# Of 256 bits. Recompressed or slightly cropped copies differ in fewer, different photographs in more.
NEAR_DISTANCE = 20
MISSED_DISTANCE = 60
COLUMNS = ["kind", "file", "other_file", "distance"]
# Entries of one block of the distance matrix, 64 MB.
BLOCK = 2**24


def duplicate_pairs(inspection: Inspection) -> pd.DataFrame:
    """The flaws found, one per row.

    Returns:
        kind: "exact" (same bytes), "near" (difference hashes at most 20 bits apart, as they are or
            with one image mirrored) or "unreadable". A pair whose categories differ has a second
            row, "conflicting".
        file, other_file: the pair; `other_file` is "" for an unreadable file.
        distance: Hamming distance of the hashes in [0, 256], mirrored or not, whichever is smaller;
            NaN for an unreadable file.
    """
    files = inspection.files
    rows = [("exact", files[i], files[j], 0.0) for i, j in _exact_pairs(inspection.sha256)]
    rows += [
        ("near", files[i], files[j], float(distance))
        for i, j, distance in _near_pairs(inspection.dhash, NEAR_DISTANCE)
        if inspection.sha256[i] != inspection.sha256[j]
    ]
    rows += [("conflicting", *row[1:]) for row in rows if category_of(row[1]) != category_of(row[2])]
    rows += [("unreadable", file, "", np.nan) for file in inspection.unreadable]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"distance": float})


def near_misses(inspection: Inspection) -> pd.DataFrame:
    """Pairs just beyond the threshold, 21 to 60 bits apart, nearest first.

    A person can see in them which duplicates the threshold misses. The columns are file, other_file
    and distance, as in `duplicate_pairs`.
    """
    found = [
        (inspection.files[i], inspection.files[j], float(distance))
        for i, j, distance in _near_pairs(inspection.dhash, MISSED_DISTANCE)
        if distance > NEAR_DISTANCE
    ]
    return pd.DataFrame(found, columns=COLUMNS[1:]).sort_values("distance", kind="stable", ignore_index=True)


def mirrored_hash(dhash: np.ndarray) -> np.ndarray:
    """The difference hashes, bool `[n, 256]`, of the same images mirrored left to right.

    Mirroring reverses and negates every comparison of neighbours. Only equal neighbours make a difference.
    """
    return ~dhash.reshape(-1, HASH_SIZE, HASH_SIZE)[:, :, ::-1].reshape(dhash.shape)


def duplicate_groups(files: Sequence[str], pairs: pd.DataFrame) -> np.ndarray:
    """The group of every file, int `[n]`: equal for files that a chain of duplicates connects."""
    rows, duplicates = pd.Index(files), _duplicates(pairs)
    ends = [rows.get_indexer(pd.Index(duplicates[column])) for column in ("file", "other_file")]
    edges = coo_array((np.ones(len(duplicates)), ends), shape=(len(files),) * 2)
    return connected_components(edges, directed=False)[1]


def audit(pairs: pd.DataFrame, files: Sequence[str], parts: np.ndarray) -> pd.DataFrame:
    """The rows of `duplicate_pairs` with two more columns, `part` and `other_part` ("" if unreadable)."""
    part_of = dict(zip(files, parts, strict=True))
    return pairs.assign(
        part=[part_of.get(file, "") for file in pairs["file"]],
        other_part=[part_of.get(file, "") for file in pairs["other_file"]],
    )


def leaks(
    pairs: pd.DataFrame, files: Sequence[str], parts: np.ndarray, *, between: Sequence[str] = PARTS
) -> int:
    """How many duplicate pairs, exact or near, lie in two different parts out of `between`."""
    ends = audit(_duplicates(pairs), files, parts)[["part", "other_part"]]
    return int((ends.isin(between).all(axis=1) & (ends.nunique(axis=1) > 1)).sum())


def _duplicates(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs[pairs["kind"].isin(["exact", "near"])]


def _exact_pairs(sha256: Sequence[str]) -> Iterator[tuple[int, int]]:
    same = defaultdict(list)
    for row, digest in enumerate(sha256):
        same[digest].append(row)
    for rows in same.values():
        yield from combinations(rows, 2)


def _near_pairs(dhash: np.ndarray, most: int) -> Iterator[tuple[int, int, int]]:
    """Rows i < j of hashes `[n, bits]` at most `most` bits apart, mirrored or not, and their distance.

    With bits as +1 and -1, the scalar product of two hashes is the number of equal bits minus the
    number of different bits, so distance = (bits - product) / 2.
    """
    bits = dhash.shape[1]
    rows = np.flatnonzero(_is_telling(dhash))
    signs, mirrored = (
        np.where(each[rows], 1, -1).astype(np.float32) for each in (dhash, mirrored_hash(dhash))
    )
    step = max(1, BLOCK // max(1, len(rows)))
    for start in passing_bar(range(0, len(rows), step), "comparing", unit="block"):
        block = signs[start : start + step]
        product = np.maximum(block @ signs[start:].T, block @ mirrored[start:].T)
        near = np.argwhere(np.triu(product >= bits - 2 * most, k=1))
        for i, j in near:
            yield int(rows[start + i]), int(rows[start + j]), int(bits - product[i, j]) // 2


def _is_telling(dhash: np.ndarray) -> np.ndarray:
    """Which images have enough contrast for the hash to mean anything: a flat image has equal bits."""
    set_bits = dhash.sum(axis=1)
    return np.minimum(set_bits, dhash.shape[1] - set_bits) > NEAR_DISTANCE
