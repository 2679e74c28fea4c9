"""Approximate nearest neighbours in a LanceDB table, to which rows can be added and deleted."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from retrieval.errors import RetrievalError
from retrieval.scale.shards import scan_features, url

if TYPE_CHECKING:
    from lancedb.query import LanceVectorQueryBuilder
    from lancedb.table import Table

os.environ.setdefault("LANCE_LOG", "error")  # it warns of every new table

TABLE = "images"
PARTITION = 4096  # rows
SUB_VECTOR = 8  # dimensions that are coded in one byte
DELETED = 1000  # files that are named in one deletion
# Recall@10 of .99 in a million rows (docs/scale.md).
NPROBES, REFINE_FACTOR = 8, 10


def create_index(features: str | Path, place: str | Path) -> Table:
    """A LanceDB table of the images that could be read, with an IVF_PQ index; it replaces an older one.

    Jégou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search", PAMI 2011.

    Args:
        features: the place that `extract` wrote to; at least 256 rows, because a code has 256 values.
        place: a folder, or the URL of one in object storage.
    """
    import lancedb
    from lancedb.index import BTree, IvfPq

    rows = scan_features(features).to_reader()
    table = lancedb.connect(url(place)).create_table(TABLE, rows, mode="overwrite")
    dim = table.schema.field("features").type.list_size
    partitions = max(1, table.count_rows() // PARTITION)
    codes = dim // math.gcd(dim, SUB_VECTOR)
    config = IvfPq(distance_type="l2", num_partitions=partitions, num_sub_vectors=codes)
    table.create_index("features", config=config)
    table.create_index("file", config=BTree())
    return table


def open_index(place: str | Path) -> Table:
    """The table that `create_index` made.

    Raises:
        RetrievalError: there is none.
    """
    import lancedb

    try:
        return lancedb.connect(url(place)).open_table(TABLE)
    except ValueError:
        raise RetrievalError(f"{place} holds no index: make one with create_index") from None


def add(table: Table, features: str | Path) -> None:
    """Adds rows, and replaces those of the same files: an interrupted addition can be repeated.

    A search finds them at once, by comparing with each. `compact` puts them into the index. `features` is the
    place with the features of the new images.
    """
    delete(table, scan_features(features, ["file"]).to_table()["file"].to_pylist())
    table.add(scan_features(features).to_reader())


def delete(table: Table, files: Sequence[str]) -> None:
    """Deletes the rows of files; some may have none."""
    quoted = ["'" + file.replace("'", "''") + "'" for file in files]
    for start in range(0, len(files), DELETED):
        table.delete(f"file IN ({', '.join(quoted[start : start + DELETED])})")


def compact(table: Table) -> None:
    """Merges small files, drops deleted rows, and adds new ones to the index, which is not trained again."""
    table.optimize()


def nearest(
    table: Table, queries: np.ndarray, k: int, *, nprobes: int = NPROBES, refine_factor: int = REFINE_FACTOR
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows, or most of them: `neighbours.nearest` for a table.

    Args:
        table: as `open_index` gives it.
        queries: features `[n_queries, dim]`.
        nprobes: how many partitions are searched: those with the nearest centres.
        refine_factor: the nearest by their codes, this many times k rows, are compared again exactly.

    Returns:
        Distances, float64 `[n_queries, k]` with the precision of float32, and numbers of rows, int64
        `[n_queries, k]`, nearest first, equal distances in the order of the numbers.

    Raises:
        ValueError: the partitions hold fewer than k rows.
    """

    def search(query: np.ndarray) -> pa.Table:
        plan = cast("LanceVectorQueryBuilder", table.search(query, "features").limit(k))
        plan = plan.nprobes(nprobes).refine_factor(refine_factor).distance_type("l2")
        found = plan.select(["row", "_distance"]).to_arrow()
        if len(found) < k:
            raise ValueError(f"k={k}, but {nprobes} partitions hold {len(found)} rows: raise nprobes")
        return found.sort_by([("_distance", "ascending"), ("row", "ascending")])

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(search, queries))
    squared, rows = ([each[name].to_numpy() for each in found] for name in ("_distance", "row"))
    return np.sqrt(np.array(squared, np.float64).reshape(-1, k)), np.array(rows, np.int64).reshape(-1, k)
