"""Extraction on many machines: features of packed images, on Ray Data.

An actor turns one shard of images into the shard of features of the same name. Ray carries only the names of
shards; the actors read and write the files themselves. `docs/scale.md` is the guide.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
from PIL import Image

import retrieval
from retrieval.data.images import encoded
from retrieval.errors import RetrievalError
from retrieval.features.extraction import SIZE, Describe
from retrieval.progress import bar
from retrieval.scale.shards import at, features_schema, finished, read_shard, url, write_shard

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Otherwise Ray prints for every actor that its encoder is in the object store.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

BLOCKS = 10_000  # the most tasks that Ray is given
OBJECT_STORE = 100_000_000  # bytes, on this machine: names of shards and an encoder need no more
ENCODER = "_encoder"
# How far the features of one image may differ between kinds of processors.
TOLERANCE = 1e-4


def extract(
    packed: str | Path, features: str | Path, load: Callable[[], Describe], *, address: str | None = None
) -> None:
    """Features of all images in shards, in shards of the same names and rows (`shards.features_schema`).

    They are the same bits as those of `extraction.extract` on the same kind of processor. Finished shards
    stay, unless the images are newer. An actor that dies is replaced, and its shard is done again.

    Args:
        packed: the place of the images that `shards.pack` packed.
        features: the place for the features, all from one encoder.
        load: called once per actor, which has one processor; gives what describes an image, such as
            `partial(to_features, model)`.
        address: of a running Ray cluster. By default it is the one that this process has joined, or else
            one that is started on this machine and stopped at the end.

    Raises:
        RetrievalError: there are no shards or one is damaged, `features` holds another encoder's, no cluster
            answers, or the disk is full.
    """
    packed, features = url(packed), url(features)
    images, done = finished(packed), finished(features)
    if not images:
        raise RetrievalError(f"{packed} holds no shards: pack the images first")
    dim = _check_encoder(features, load())
    todo = [name for name in images if name not in done or done[name].mtime_ns < images[name].mtime_ns]
    if not todo:
        return
    with _cluster(address), bar(total=len(todo), desc="extracting", unit="shard") as progress:
        pool = ray.data.ActorPoolStrategy(size=min(int(ray.cluster_resources()["CPU"]), len(todo)))
        names = ray.data.from_items(todo, override_num_blocks=min(len(todo), BLOCKS))
        arguments = (packed, features, dim, ray.put(load))
        extracted = names.map_batches(
            _Extractor, fn_constructor_args=arguments, batch_size=1, num_cpus=1, compute=pool
        )
        for row in extracted.iter_rows():
            if row["fault"]:
                raise RetrievalError(row["fault"])
            progress.update()


class _Extractor:
    """An actor of Ray Data: it loads the encoder once and extracts a shard at each call."""

    def __init__(self, packed: str, features: str, dim: int, load: ray.ObjectRef) -> None:
        self.packed, self.features, self.dim, self.describe = packed, features, dim, ray.get(load)()

    def __call__(self, names: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        (shard,), fault = names["item"], ""
        try:
            write_shard(self.features, shard, features_schema(self.dim), self._batches(shard))
        except RetrievalError as error:  # Ray would pass it on as text among other text
            fault = str(error)
        return {"fault": np.array([fault])}

    def _batches(self, shard: str) -> Iterator[pa.RecordBatch]:
        for batch in read_shard(self.packed, shard):
            vectors, faults = zip(*map(self._describe, batch["image"].to_pylist()), strict=True)
            unreadable = pa.array([fault is not None for fault in faults])
            features = pa.FixedSizeListArray.from_arrays(np.concatenate(vectors), self.dim, mask=unreadable)
            columns = [batch["row"], batch["file"], features, pa.array(faults, pa.string())]
            yield pa.record_batch(columns, schema=features_schema(self.dim))

    def _describe(self, image: bytes) -> tuple[np.ndarray, str | None]:
        try:
            return self.describe(image), None
        except RetrievalError as error:
            return np.zeros(self.dim, np.float32), str(error)


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Ray: the cluster that this process has joined, or one that ends with the block."""
    if ray.is_initialized():
        yield
        return
    _join(address)
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str | None) -> None:
    """Starts Ray without its log. Its machines are sent this package and need only the libraries."""
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if not address:
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
    package = {"py_modules": [str(Path(retrieval.__file__).parent)]}
    try:
        ray.init(address or "local", runtime_env=package, **options)
    except ConnectionError:
        raise RetrievalError(
            f"no Ray cluster answers at {address}: start one with `ray start --head`, or give no address"
        ) from None
    logging.getLogger("ray.data").setLevel("ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False


def _check_encoder(features: str, describe: Describe) -> int:
    """How many dimensions an encoder has; refuses a place with the features of another encoder."""
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    expected = describe(encoded(Image.fromarray(noise), "PNG"))
    if not at(features)[0].get_file_info(f"{at(features)[1]}/{ENCODER}").is_file:
        column = pa.record_batch({"features": expected})
        write_shard(features, ENCODER, column.schema, [column])
    known = np.concatenate([batch["features"].to_numpy() for batch in read_shard(features, ENCODER)])
    if known.shape != expected.shape or not np.allclose(known, expected, atol=TOLERANCE):
        raise RetrievalError(f"{features} holds the features of another encoder: give another place")
    return len(expected)
