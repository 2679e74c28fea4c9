"""Converted encoders, run by LiteRT: no TensorFlow, and at most half of its time.

An interpreter takes one image at a time on one thread, and every thread has its own interpreter. The
features of an image are therefore the same bits, whichever images are extracted beside it.
"""

import threading
from collections.abc import Callable

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from retrieval.silence import standard_error_closed


def load_encoder(model: bytes, size: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from one image, uint8 `[size, size, 3]`, to its features, float32 `[dim]`.

    Any number of threads may call it. Each gets an interpreter of its own at its first call. The model is one
    of `conversion.convert`.
    """
    own = threading.local()
    # The first interpreter of a process writes a line to the terminal.
    with standard_error_closed():
        own.interpreter = _interpreter(model, size)

    def encode(image: np.ndarray) -> np.ndarray:
        if not hasattr(own, "interpreter"):
            own.interpreter = _interpreter(model, size)
        own.interpreter.set_tensor(own.interpreter.get_input_details()[0]["index"], image[np.newaxis])
        own.interpreter.invoke()
        return own.interpreter.get_tensor(own.interpreter.get_output_details()[0]["index"])[0]

    return encode


def _interpreter(model: bytes, size: int) -> Interpreter:
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], (1, size, size, 3))
    interpreter.allocate_tensors()
    return interpreter
