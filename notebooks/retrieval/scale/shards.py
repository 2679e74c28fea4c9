"""Shards: images and features in numbered Parquet files of ROWS rows, which many machines can share out.

Listing and opening 10^8 single files takes longer than any work on them. A shard appears as a whole or not at
all: if it is there, it is finished; if it is written again, it replaces itself.

Places are folders, or URLs of object storage (`s3://bucket/folder`), the same for all machines.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo, FileSelector, FileSystem

from retrieval.errors import RetrievalError
from retrieval.features.extraction import BATCH
from retrieval.files import writing
from retrieval.progress import bar

ROWS = 1000  # images in a shard
PACKED = pa.schema({"row": pa.int64(), "file": pa.string(), "image": pa.binary()})
# Holds files until they are whole; Arrow and `finished` ignore names that begin like this.
UNFINISHED = "_unfinished"


def pack(root: Path, files: Iterable[str], place: str | Path, *, first: int = 0) -> None:
    """Packs image files, as they are, into shards of ROWS; skips shards that are finished.

    Row r of shard s has the number ROWS * s + r from here on.

    Args:
        root: folder that `files` are relative to.
        files: the same in the same order if packing is repeated; not held in memory together.
        place: a folder or a URL, for the shards.
        first: number of the first shard; for images that are added later, one that is free.

    Raises:
        RetrievalError: a file cannot be read, or the disk is full.
    """
    done, remaining = finished(place), iter(files)
    for number in bar(count(first), "packing", unit="shard"):
        if not (names := list(islice(remaining, ROWS))):
            break
        if (shard := f"{number:08}.parquet") not in done:
            write_shard(place, shard, PACKED, _packed(root, names, number * ROWS))


def features_schema(dim: int) -> pa.Schema:
    """The schema of shards of features; if an image could not be read, `fault` says why."""
    vector = pa.list_(pa.float32(), dim)
    return pa.schema({"row": pa.int64(), "file": pa.string(), "features": vector, "fault": pa.string()})


def scan_features(place: str | Path, columns: Sequence[str] = ("row", "file", "features")) -> ds.Scanner:
    """The images that could be read, in order, a batch at a time: number, file, features `[dim]`."""
    return _dataset(place).scanner(list(columns), filter=ds.field("fault").is_null())


def faults(place: str | Path) -> dict[str, str]:
    """What is wrong with the images that could not be read, by file."""
    table = _dataset(place).to_table(["file", "fault"], filter=~ds.field("fault").is_null())
    return dict(zip(table["file"].to_pylist(), table["fault"].to_pylist(), strict=True))


def finished(place: str | Path) -> dict[str, FileInfo]:
    """The shards at a place, by name, in order."""
    filesystem, folder = at(place)
    files = filesystem.get_file_info(FileSelector(folder, allow_not_found=True))
    shards = {file.base_name: file for file in files if file.extension == "parquet"}
    return dict(sorted(shards.items()))


def read_shard(place: str | Path, shard: str) -> Iterator[pa.RecordBatch]:
    """A shard, a batch at a time.

    Raises:
        RetrievalError: it is damaged.
    """
    filesystem, folder = at(place)
    try:
        with pq.ParquetFile(f"{folder}/{shard}", filesystem=filesystem) as file:
            yield from file.iter_batches(BATCH)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise RetrievalError(
            f"{place}/{shard} cannot be read ({reason}): delete it, then run again"
        ) from None


def write_shard(place: str | Path, shard: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Writes a shard as a whole; two processes may write the same one at once.

    Raises:
        RetrievalError: the disk is full or the place cannot be written to.
    """
    filesystem, folder = at(place)
    temporary = f"{folder}/{UNFINISHED}/{uuid4().hex}"
    with writing(Path(f"{place}/{shard}")):
        filesystem.create_dir(f"{folder}/{UNFINISHED}")
        # Neither encoded images nor features get smaller.
        with pq.ParquetWriter(
            temporary, schema, filesystem=filesystem, compression="none", use_dictionary=False
        ) as writer:
            for batch in batches:
                writer.write_batch(batch)
        filesystem.move(temporary, f"{folder}/{shard}")


def at(place: str | Path) -> tuple[FileSystem, str]:
    """The file system of a place, and its path there."""
    return FileSystem.from_uri(url(place))


def url(place: str | Path) -> str:
    """A place as a process in another folder, or on another machine, finds it."""
    return str(place) if "://" in str(place) else Path(place).absolute().as_uri()


def _dataset(place: str | Path) -> ds.Dataset:
    filesystem, folder = at(place)
    return ds.dataset(folder, filesystem=filesystem, format="parquet")


def _packed(root: Path, files: Sequence[str], first: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(files), BATCH):
        names = files[start : start + BATCH]
        rows = np.arange(len(names)) + first + start
        images = [_content(root / file) for file in names]
        yield pa.record_batch([rows, names, images], schema=PACKED)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RetrievalError(
            f"{path} cannot be read ({error.strerror}): replace it or leave it out"
        ) from None
