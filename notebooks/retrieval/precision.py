"""bfloat16 in training, where a GPU computes with it: half the memory, and faster than float32.

It has float32's range, so that no gradient vanishes and nothing has to be scaled up for it (Kalamkar et al.,
"A Study of BFLOAT16 for Deep Learning Training", arXiv:1905.12322). Weights, what is pooled and the loss stay
in float32, and so does everything but training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from retrieval.quietly import keras, tf

# Of NVIDIA GPUs, from Ampere on.
CAPABILITY = (8, 0)


def computes_in_bfloat16() -> bool:
    """Whether the GPUs that TensorFlow sees, at least one, compute faster in bfloat16."""
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    capabilities = [each.get("compute_capability") or (0, 0) for each in details]
    return bool(capabilities) and min(capabilities) >= CAPABILITY


@contextmanager
def mixed_precision(encoder: keras.Model) -> Iterator[None]:
    """Layers that give feature maps compute in bfloat16 while this lasts, on GPUs that do.

    In a `tf.function` that means: while it is traced. The graph keeps what it was traced with, and the
    encoder is what it was.
    """
    layers = list(_mapping(encoder)) if computes_in_bfloat16() else []
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = "mixed_bfloat16"
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


def _mapping(encoder: keras.Model) -> Iterator[keras.Layer]:
    """Layers whose output is `[n, h, w, channels]`, at any depth."""
    for layer in encoder.layers:
        if isinstance(layer, keras.Model):
            yield from _mapping(layer)
        elif len(layer.output.shape) == 4:
            yield layer
