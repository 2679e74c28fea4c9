"""Converted encoders, run by LiteRT: no TensorFlow, and at most half of its time.

An interpreter takes one image at a time on one thread, and every thread has its own interpreter. The
features of an image are therefore the same bits, whichever images are extracted beside it.
"""

import threading
from collections.abc import Callable

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from retrieval.settings import RANGES
from retrieval.silence import standard_error_closed


def load_encoder(model: bytes, size: int, *, pixels: str = RANGES[0]) -> Callable[[np.ndarray], np.ndarray]:
    """A function from one image, uint8 `[size, size, 3]`, to its features, float32 `[dim]`.

    Any number of threads may call it. Each gets an interpreter of its own at its first call. The model is one
    of `conversion.convert`, or any other from `[1, h, w, 3]` to `[1, dim]`. A float32 input is given
    pixels in the range `pixels`. A quantised one gets them as they are.
    """
    own = threading.local()
    # The first interpreter of a process writes a line to the terminal.
    with standard_error_closed():
        own.interpreter = _interpreter(model, size)

    def encode(image: np.ndarray) -> np.ndarray:
        if not hasattr(own, "interpreter"):
            own.interpreter = _interpreter(model, size)
        given, made = own.interpreter.get_input_details()[0], own.interpreter.get_output_details()[0]
        own.interpreter.set_tensor(given["index"], _scaled(image, given["dtype"], pixels)[np.newaxis])
        own.interpreter.invoke()
        features = own.interpreter.get_tensor(made["index"])[0]
        scale, zero = made["quantization"]  # (0.0, 0) if it is not quantised
        return np.float32(scale) * (features.astype(np.float32) - zero) if scale else features

    return encode


def scaling(pixels: str) -> tuple[float, float]:
    """What to multiply pixels from 0 to 255 by, and then to add, for the range `pixels`.

    >>> scaling("-1..1")
    (0.00784313725490196, -1.0)
    """
    low, high = map(float, pixels.split(".."))
    return (high - low) / 255, low


def _scaled(image: np.ndarray, dtype: type, pixels: str) -> np.ndarray:
    """A uint8 image as a model takes it: float32 in the range `pixels`, int8 from -128, or as it is."""
    if dtype == np.float32:
        factor, low = scaling(pixels)
        return image * np.float32(factor) + np.float32(low)
    return (image ^ 128).view(np.int8) if dtype == np.int8 else image


def _interpreter(model: bytes, size: int) -> Interpreter:
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], (1, size, size, 3))
    interpreter.allocate_tensors()
    return interpreter
