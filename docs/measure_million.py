"""Measures a million rows in LanceDB: `PYTHONPATH=notebooks .venv/bin/python docs/measure_million.py`.

It takes 11 GB of disk and needs `requirements-scale.txt` and what notebook 02 leaves. The rows are drawn from
one normal distribution per category, with the mean and the covariance of the real features of that category.
Values below zero become zero, because no real feature is negative.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from retrieval.artifacts.store import open_store
from retrieval.bench.memory import peak_memory
from retrieval.progress import bar
from retrieval.scale import lancedb_index
from retrieval.scale.shards import ROWS, features_schema, write_shard
from retrieval.search import neighbours
from retrieval.settings import read_settings

MILLION, QUERIES, K = 1_000_000, 200, 10
DEFAULT = (20, 1)  # LanceDB's own
GRID = [DEFAULT, (20, 10), (4, 20), (8, 5), (8, 10), (8, 20), (16, 20), (32, 20), (32, 40)]


def synthesise(vectors: np.ndarray, categories: np.ndarray, n: int, *, seed: int) -> Iterator[np.ndarray]:
    """Rows like real ones, float32 `[ROWS, dim]` at a time, `n` in all; n is a multiple of ROWS."""
    rng = np.random.default_rng(seed)
    groups = [vectors[categories == category] for category in np.unique(categories)]
    means = [group.mean(axis=0) for group in groups]
    roots = [(group - mean) / np.sqrt(len(group) - 1) for group, mean in zip(groups, means, strict=True)]
    shares = [len(group) / len(vectors) for group in groups]
    for _ in range(n // ROWS):
        drawn = rng.choice(len(groups), ROWS, p=shares)
        weights = [rng.standard_normal(len(groups[group]), np.float32) for group in drawn]
        rows = [means[group] + weight @ roots[group] for group, weight in zip(drawn, weights, strict=True)]
        yield np.maximum(rows, 0, dtype=np.float32)


def save(
    place: Path, blocks: Iterable[np.ndarray], queries: np.ndarray, *, first: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Writes shards of features, numbered from `first`; gives the exact K nearest rows, as `nearest` does."""
    distances, numbers = np.empty((len(queries), 0)), np.empty((len(queries), 0), np.int64)
    for shard, block in enumerate(blocks, first):
        rows = np.arange(len(block)) + shard * ROWS
        columns = [pa.array(rows), pa.array([f"{row}.jpg" for row in rows])]
        columns += [pa.FixedSizeListArray.from_arrays(block.ravel(), block.shape[1])]
        schema = features_schema(block.shape[1])
        batch = pa.record_batch([*columns, pa.nulls(len(block), pa.string())], schema=schema)
        write_shard(place, f"{shard:08}.parquet", schema, [batch])
        near = neighbours.nearest(block, queries, min(K, len(block)), method="exact")
        distances = np.concatenate([distances, near[0]], axis=1)
        numbers = np.concatenate([numbers, rows[near[1]]], axis=1)
        best = np.argsort(distances, axis=1, kind="stable")[:, :K]
        distances, numbers = (np.take_along_axis(each, best, axis=1) for each in (distances, numbers))
    return distances, numbers


def ask(place: Path, queries: np.ndarray, exact: np.ndarray) -> pd.DataFrame:
    """Recall, and milliseconds per query asked one after another, at every point of GRID."""
    table, rows = lancedb_index.open_index(place), []
    for nprobes, refine_factor in bar(GRID, "asking"):
        found, times = [], []
        for query in queries:
            start = time.perf_counter()
            options = {"nprobes": nprobes, "refine_factor": refine_factor}
            found.append(lancedb_index.nearest(table, query[np.newaxis], K, **options)[0][0])
            times.append(1000 * (time.perf_counter() - start))
        share = neighbours.recall(np.array(found), exact)
        rows.append((nprobes, refine_factor, share, np.median(times), np.quantile(times, 0.95)))
    return pd.DataFrame(rows, columns=["nprobes", "refine_factor", f"recall@{K}", "median ms", "95 % ms"])


def change(place: Path, features: Path) -> str:
    """Adds, deletes and compacts; says how long each took."""
    table, times = lancedb_index.open_index(place), {}
    files = [f"{row}.jpg" for row in range(ROWS)]
    for name, act in (
        ("delete", lambda: lancedb_index.delete(table, files)),
        ("add", lambda: lancedb_index.add(table, features)),
        ("compact", lambda: lancedb_index.compact(table)),
    ):
        start = time.perf_counter()
        act()
        times[name] = time.perf_counter() - start
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())


def _build(features: Path, place: Path) -> None:
    lancedb_index.create_index(features, place)


def _apart(act: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process of its own; prints its time and memory."""
    start = time.perf_counter()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        result, peak = pool.submit(_measured, act, arguments).result()
    print(
        f"{act.__name__.strip('_')}: {time.perf_counter() - start:.0f} s, {peak:.2f} GB at most", flush=True
    )
    return result


def _measured(act: Callable[..., Any], arguments: tuple) -> tuple[Any, float]:
    result = act(*arguments)
    return result, peak_memory() / 1e9


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Measures real features, as many synthetic ones, and a million."""
    store = open_store(read_settings())
    train, test = store.load("mobilenetv2_train.npy"), store.load("mobilenetv2_test.npy")
    categories = np.array([*store.load("train_index_category.json").values()])
    real = np.random.default_rng(0).permutation(test)[:QUERIES]
    drawn = next(synthesise(train, categories, ROWS, seed=1))[:QUERIES]
    few = len(train) // ROWS * ROWS
    for name, blocks, queries in (
        ("real", np.split(train, range(ROWS, len(train), ROWS)), real),
        ("as many synthetic", synthesise(train, categories, few, seed=0), drawn),
        ("a million synthetic", synthesise(train, categories, MILLION, seed=0), drawn),
    ):
        with TemporaryDirectory() as folder:
            features, place = Path(folder) / "features", Path(folder) / "index"
            exact, _ = save(features, bar(blocks, "drawing", unit="shard"), queries)
            print(f"{name}: {_bytes(features):,} bytes of features", flush=True)
            _apart(_build, features, place)
            print(f"{_bytes(place):,} bytes of table and index", flush=True)
            print(_apart(ask, place, queries, exact).round(3).to_string(index=False), flush=True)
            last = Path(folder) / "last"
            save(last, [drawn.repeat(5, axis=0)], drawn)
            print(_apart(change, place, last), flush=True)


if __name__ == "__main__":
    main()
