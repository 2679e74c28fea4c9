"""Images as arrays of a given size, and as the content of a file."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.data.decoding import open_image
from retrieval.progress import bar


def load_image(source: Path | bytes, size: int, *, resample: int = Image.Resampling.NEAREST) -> np.ndarray:
    """An image file, or what was in one, as uint8 `[size, size, 3]`, its aspect ratio given up.

    The default resampling is that of `keras.utils.load_img`, which the original work used. An image
    of several times `size` is first reduced by averaging: picking single pixels out of it would
    turn texture into noise.

    Raises:
        RetrievalError: the file is not a readable image.
    """
    image = open_image(source)
    if (factor := min(image.size) // size) > 1:
        image = image.reduce(factor)
    return np.asarray(image.resize((size, size), resample))


def load_images(root: Path, files: Sequence[str], size: int) -> np.ndarray:
    """All images, smoothly resized, as uint8 `[n_images, size, size, 3]`, for training."""
    images = np.empty((len(files), size, size, 3), np.uint8)
    load = partial(load_image, size=size, resample=Image.Resampling.BILINEAR)
    with ThreadPoolExecutor() as pool:
        decoded = pool.map(load, [root / file for file in files])
        for row, image in enumerate(bar(decoded, "decoding", len(files), unit="image")):
            images[row] = image
    return images


def encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    """An image as the content of a file of a kind and with the options that Pillow's `save` knows."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
