"""From image files to a file of features: all cores work, and an interruption costs seconds of work."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.data.images import load_image
from retrieval.features.litert import load_encoder
from retrieval.features.normalising import l2_normalise
from retrieval.files import remove, write_atomically
from retrieval.progress import bar
from retrieval.settings import RANGES

SIZE = 224  # pixels on a side, as MobileNetV2 was trained
BATCH = 64  # images that are embedded at a time elsewhere
CHUNK = 1024  # images whose features are kept as one file until all are extracted

Describe = Callable[[Path | bytes], np.ndarray]


def to_features(model: bytes, *, size: int = SIZE) -> Describe:
    """A function from an image (its file, or the file's content) to its features, float32 `[dim]`.

    Images are resized to `size` x `size` pixels by nearest neighbour, as in the original work. The model is
    one of `conversion.convert`.
    """
    encode = load_encoder(model, size)
    return lambda source: encode(load_image(source, size))


def to_embedding(
    model: bytes,
    *,
    sizes: Sequence[int],
    mirrored: bool = False,
    resample: int = Image.Resampling.BILINEAR,
    pixels: str = RANGES[0],
) -> Describe:
    """A function from an image (its file, or the file's content) to its unit embedding, float32 `[dim]`.

    Images are resized bilinearly, as in training: nearest neighbour leaves jagged edges, which a fine-tuned
    encoder has never seen. `resample` is Pillow's number of another way. An encoder with global pooling sees
    other details at every size, so the unit embeddings at all sizes, in pixels on a side, are added (Gordo
    et al., "End-to-end Learning of Deep Visual Representations for Image Retrieval", IJCV 2017). If
    `mirrored`, those of the mirrored image are added, too. `pixels` is as in `load_encoder`.
    """
    encoders = {size: load_encoder(model, size, pixels=pixels) for size in sizes}

    def describe(source: Path | bytes) -> np.ndarray:
        views = []
        for size, encode in encoders.items():
            image = load_image(source, size, resample=resample)
            views += [encode(image), encode(image[:, ::-1])] if mirrored else [encode(image)]
        return l2_normalise(l2_normalise(np.stack(views)).sum(axis=0, keepdims=True))[0]

    return describe


def extract(describe: Describe, root: Path, files: Sequence[str], *, unfinished: Path) -> np.ndarray:
    """The features of every image, float32 `[n_images, dim]`, in the order of `files`, at least one.

    The array is read-only and stays on the disk, so memory does not grow with the number of images. Several
    threads call `describe`. `unfinished` is a folder for this extraction alone. It holds a file for every
    1,024 images; an extraction that is repeated makes only those that are missing or cannot be read.

    Raises:
        RetrievalError: an image cannot be read, or the disk is full.
    """
    chunks = [unfinished / f"{start // CHUNK:04}.npy" for start in range(0, len(files), CHUNK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool, bar(total=len(files), unit="image") as progress:
        for number, chunk in enumerate(chunks):
            paths = [root / file for file in files[number * CHUNK : (number + 1) * CHUNK]]
            if _holds(chunk, len(paths)):
                progress.update(len(paths))
                continue
            rows = []
            for features in pool.map(describe, paths):
                rows.append(features)
                progress.update()
            remove(chunk)
            write_atomically(chunk, partial(np.save, arr=np.stack(rows)))
    whole = unfinished / "whole.npy"
    write_atomically(whole, partial(_join, chunks=chunks, n=len(files)))
    return np.load(whole, mmap_mode="r")


def _holds(chunk: Path, count: int) -> bool:
    """Whether a chunk of that many rows can be read; whatever is wrong with it, it is made again."""
    with suppress(Exception):
        rows = np.load(chunk, allow_pickle=False)
        return rows.dtype == np.float32 and rows.ndim == 2 and len(rows) == count
    return False


def _join(path: Path, *, chunks: Sequence[Path], n: int) -> None:
    """Writes chunks of n rows as one. On a full disk this fails, and a memory map would end the process."""
    with path.open("wb") as file:
        shape = (n, np.load(chunks[0], mmap_mode="r").shape[1])
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            file.write(np.load(chunk).tobytes())
