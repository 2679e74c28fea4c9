"""From image files to a file of features: every core at work, and nothing lost by an interruption.

Each thread decodes an image and runs the encoder on it, then takes the next. Features go to the disk batch
by batch, so that memory does not grow with the number of images.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.data.images import load_image
from retrieval.features.litert import load_encoder
from retrieval.features.normalising import l2_normalise
from retrieval.files import remove, writing
from retrieval.progress import bar

SIZE = 224  # pixels on a side, as MobileNetV2 was trained
BATCH = 64
SEAL = 32  # bytes of a SHA-256

Describe = Callable[[Path | bytes], np.ndarray]


def to_features(model: bytes, *, size: int = SIZE) -> Describe:
    """A function from an image file, or what was in one, to what an encoder says of it, float32 `[dim]`.

    Args:
        model: as `features.convert` gives it.
        size: pixels on a side to which images are resized, by nearest neighbour as in the original work.
    """
    encode = load_encoder(model, size)
    return lambda source: encode(load_image(source, size))


def to_embedding(model: bytes, *, sizes: Sequence[int]) -> Describe:
    """A function from an image file, or what was in one, to its embedding, float32 `[dim]`, of unit length.

    The picture is resized smoothly, as in training: on pixels picked by nearest neighbour, a fine-tuned
    encoder would meet jagged edges that it has never seen. An encoder that pools globally sees other
    details at every size; the embeddings at several are added up (Gordo et al., "End-to-end Learning of
    Deep Visual Representations for Image Retrieval", IJCV 2017).

    Args:
        model: as `features.convert` gives it.
        sizes: pixels on a side.
    """
    encoders = {size: load_encoder(model, size) for size in sizes}

    def describe(source: Path | bytes) -> np.ndarray:
        images = (load_image(source, size, resample=Image.Resampling.BILINEAR) for size in sizes)
        at_sizes = [encoders[size](image) for size, image in zip(sizes, images, strict=True)]
        return l2_normalise(l2_normalise(np.stack(at_sizes)).sum(axis=0, keepdims=True))[0]

    return describe


def extract(describe: Describe, root: Path, files: Sequence[str], *, unfinished: Path) -> np.ndarray:
    """The features of every image, float32 `[n_images, dim]`, in the order of `files`.

    Args:
        describe: from an image file to its features; called by several threads.
        root: folder that `files` are relative to.
        files: at least one.
        unfinished: a folder for finished batches. An extraction that is repeated under the same name
            goes on where it stopped, with the same bits.

    Returns:
        An array that stays on the disk, in `unfinished`, and is read from there.

    Raises:
        RetrievalError: an image cannot be read, or the disk is full.
    """
    paths = [root / file for file in files]
    dim = len(describe(paths[0]))
    rows, seals = unfinished / "rows", unfinished / "seals"
    done = _resume(rows, seals, dim)
    with bar(total=len(paths), initial=done, desc="extracting", unit="image") as progress:
        for number, batch in enumerate(_batches(describe, paths[done:]), done // BATCH):
            content = batch.tobytes()
            with writing(unfinished):
                _append(rows, content)
                _append(seals, _seal(unfinished, number, content))
            progress.update(len(batch))
    return np.memmap(rows, np.float32, "r", shape=(len(paths), dim))


def _batches(describe: Describe, paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """Features, float32 `[<= BATCH, dim]`; the threads are given the next batch while one is awaited."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = [pool.submit(describe, path) for path in paths[:BATCH]]
        for following in range(BATCH, len(paths) + BATCH, BATCH):
            current = waiting
            waiting = [pool.submit(describe, path) for path in paths[following : following + BATCH]]
            yield np.stack([features.result() for features in current])


def _resume(rows: Path, seals: Path, dim: int) -> int:
    """How many rows were finished; cuts off what follows the last batch that is as it was written."""
    folder, size, done = rows.parent, BATCH * dim * 4, 0
    with writing(folder):
        if not (rows.is_file() and seals.is_file()):
            remove(folder)
            folder.mkdir(parents=True)
            return 0
        with rows.open("rb+") as content, seals.open("rb+") as sealed:
            while (batch := content.read(size)) and sealed.read(SEAL) == _seal(folder, done, batch):
                done += 1
            end = min(done * size, content.seek(0, os.SEEK_END))
            content.truncate(end)
            sealed.truncate(done * SEAL)
    return end // (dim * 4)


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def _seal(folder: Path, number: int, content: bytes) -> bytes:
    """SHA-256 of a batch, its number and the extraction that it belongs to."""
    return hashlib.sha256(f"{folder.name} {number} ".encode() + content).digest()
