"""Small pictures, and a check of messages, for several test modules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import RetrievalError


def scene(seed: int, size: int = 64) -> Image.Image:
    """A picture unlike that of any other seed, smooth enough to survive compression."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def fails(call: Callable[[], object], *words: str) -> None:
    """Checks that a call raises a message of one line that contains all of `words`."""
    with pytest.raises(RetrievalError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
