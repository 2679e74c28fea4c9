"""One reading of every file: can it be read, how large is it, what are its hashes?"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagehash
import numpy as np

from retrieval.data.dataset import LEAST_IMAGES, category_of
from retrieval.data.decoding import read_image
from retrieval.errors import RetrievalError
from retrieval.progress import bar

HASH_SIZE = 16


@dataclass(frozen=True)
class Inspection:
    """What one reading of every file shows.

    Attributes:
        files: the n readable files, in the order given.
        sha256: hash of each file's bytes, in hexadecimal.
        dhash: difference hashes, bool `[n, 256]`.
        width, height: pixels of the picture as `open_image` gives it, int `[n]`.
        mode: Pillow's name for the pixel format in the file, `[n]`.
        unreadable: every other file, and why it cannot be read.
    """

    files: list[str]
    sha256: list[str]
    dhash: np.ndarray
    width: np.ndarray
    height: np.ndarray
    mode: np.ndarray
    unreadable: dict[str, str]

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 by file, for the readable files."""
        return dict(zip(self.files, self.sha256, strict=True))


# The same of one file: its SHA-256, difference hash, width, height and mode.
_Look = tuple[str, np.ndarray, int, int, str]


def inspect(root: Path, files: Sequence[str]) -> Inspection:
    """What every file shows, read once.

    The difference hash shrinks the image to 17 x 16 grey pixels and compares each with its neighbour
    (N. Krawetz, "Kind of like that", 2013).

    Raises:
        RetrievalError: a category has fewer than 5 readable images.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = pool.map(_look, map(root.joinpath, files))
        seen = dict(zip(files, bar(looks, total=len(files), unit="image", desc="inspecting"), strict=True))
    readable = {file: look for file, look in seen.items() if not isinstance(look, str)}
    unreadable = {file: look for file, look in seen.items() if isinstance(look, str)}
    _check_readable(readable, unreadable)
    sha256, *arrays = zip(*readable.values(), strict=True)
    dhash, width, height, mode = map(np.array, arrays)
    return Inspection(list(readable), list(sha256), dhash, width, height, mode, unreadable)


def to_json(inspection: Inspection) -> dict[str, Any]:
    """An inspection as JSON types, the hashes in hexadecimal."""
    arrays = {name: getattr(inspection, name).tolist() for name in ("width", "height", "mode")}
    hashes = [row.tobytes().hex() for row in np.packbits(inspection.dhash, axis=1)]
    return vars(inspection) | arrays | {"dhash": hashes}


def from_json(record: dict[str, Any]) -> Inspection:
    """The inspection that `to_json` was given."""
    hashes = [np.frombuffer(bytes.fromhex(text), np.uint8) for text in record["dhash"]]
    arrays = {name: np.array(record[name]) for name in ("width", "height", "mode")}
    return Inspection(**record | arrays | {"dhash": np.unpackbits(hashes, axis=1).astype(bool)})


def _look(path: Path) -> _Look | str:
    """What a file shows, or why it cannot be read."""
    try:
        image, mode, content = read_image(path)
    except RetrievalError as error:
        return str(error)
    dhash = imagehash.dhash(image, hash_size=HASH_SIZE).hash.ravel()
    return hashlib.sha256(content).hexdigest(), dhash, *image.size, mode


def _check_readable(readable: Iterable[str], unreadable: dict[str, str]) -> None:
    counts = Counter(map(category_of, readable))
    for file, reason in unreadable.items():
        category = category_of(file)
        if (count := counts[category]) < LEAST_IMAGES:
            raise RetrievalError(
                f"{category or 'the folder'} has {count} readable images, {LEAST_IMAGES} are needed: {reason}"
            )
