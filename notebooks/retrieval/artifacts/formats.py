"""Artifacts as files: what each suffix holds, and what an array must be like."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from retrieval.files import write_atomically


def write(path: Path, value: Any) -> None:
    """Writes an array as `.npy`, arrays by name as `.npz`, JSON types as `.json`, a DataFrame as `.csv`, an
    encoder as `.keras` or as the bytes of a `.tflite`.

    Raises:
        RetrievalError: the disk is full or the folder cannot be written to.
        ValueError: an array breaks the contract: C-contiguous float32 `[n_images, dim]`, all finite.
    """
    if path.suffix == ".npy" and (fault := _fault(value)):
        raise ValueError(f"{path.name} {fault}")
    writers: dict[str, Callable[[Path], Any]] = {
        ".npy": lambda file: np.save(file, value, allow_pickle=False),
        ".npz": lambda file: np.savez(file, **value),
        ".json": lambda file: file.write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8"),
        ".csv": lambda file: value.to_csv(file, index=False),
        ".tflite": lambda file: file.write_bytes(value),
        ".keras": lambda file: value.save(file),
    }
    write_atomically(path, writers[path.suffix])


def read(path: Path) -> Any:
    """What `write` was given, its JSON types and column types as the file format keeps them.

    Nothing in a file is ever executed: arrays are read without pickles, encoders without lambdas.

    Raises:
        ValueError: the file is not what its suffix promises, or an array breaks the contract; says how.
    """
    if path.suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (EOFError, ValueError):
            raise ValueError("is not a plain array") from None
        if fault := _fault(array):
            raise ValueError(fault)
        return array
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        except (BadZipFile, EOFError, ValueError, zlib.error):
            raise ValueError("is damaged") from None
    if path.suffix == ".json":
        return json.loads(path.read_text("utf-8"))
    if path.suffix == ".tflite":
        return path.read_bytes()
    if path.suffix == ".csv":
        import pandas

        # A category may be named 1 or NA, and stays what it is called; only numbers can be missing.
        names = dict.fromkeys(("category", "file", "other_file", "kind", "part", "other_part"), str)
        missing = {column: [""] for column in ("distance", "val_precision")}
        return pandas.read_csv(path, dtype=names, keep_default_na=False, na_values=missing)
    # Only the steps that use an encoder pay for loading TensorFlow.
    import keras

    return keras.models.load_model(path, compile=False)


def _fault(array: np.ndarray) -> str:
    """How an array breaks the contract, or ""."""
    if array.dtype != np.float32 or array.ndim != 2 or not array.flags.c_contiguous:
        return f"is {array.dtype} {list(array.shape)}, not C-contiguous float32 [n_images, dim]"
    # A block at a time: of an array on the disk, no more has to be in memory.
    blocks = (array[start : start + 4096] for start in range(0, len(array), 4096))
    return "" if all(np.isfinite(block).all() for block in blocks) else "holds NaN or infinite values"
