"""Images as arrays of a given size, and as the content of a file."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from PIL import Image

from retrieval.data.decoding import open_image
from retrieval.files import writing
from retrieval.progress import bar


def load_image(source: Path | bytes, size: int, *, resample: int = Image.Resampling.NEAREST) -> np.ndarray:
    """An image file, or its bytes, as uint8 `[size, size, 3]`, whatever its aspect ratio.

    The default resampling is the one of `keras.utils.load_img`, which the original work used. A much
    larger image is first reduced by averaging: picking single pixels would turn texture into noise.

    Raises:
        RetrievalError: the file is not a readable image.
    """
    image = open_image(source)
    if (factor := min(image.size) // size) > 1:
        image = image.reduce(factor)
    return np.asarray(image.resize((size, size), resample))


def load_images(root: Path, files: Sequence[str], size: int, *, folder: Path) -> np.ndarray:
    """All images, with bilinear resizing, as uint8 `[n_images, size, size, 3]`, for training.

    They are in a file without a name in `folder`, which goes with the array, and not in memory: the system
    keeps there what fits.

    Raises:
        RetrievalError: an image cannot be read, or the folder's disk is full.
    """
    load = partial(load_image, size=size, resample=Image.Resampling.BILINEAR)
    with writing(folder), TemporaryFile(dir=folder) as file, ThreadPoolExecutor() as pool:
        decoded = pool.map(load, [root / name for name in files])
        for image in bar(decoded, "decoding", len(files), unit="image"):
            file.write(image.tobytes())
        return np.memmap(file, np.uint8, "r", shape=(len(files), size, size, 3))


def encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    """An image as the content of a file; kinds and options are those of Pillow's `save`."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
