"""Training in bfloat16: in its graph and nowhere else."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval import encoders, features, precision, proxies, training


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_in_bfloat16", lambda: True)


def step(encoder: keras.Model) -> tuple[float, set[str]]:
    """The loss of one step, and what the convolutions in its graph compute in."""
    encoder.compile(keras.optimizers.SGD(0.0))
    encoder.optimizer.build(encoder.trainable_variables)
    loss = proxies.normalised_softmax
    run = training.training_step(encoder, lambda x, y: loss(x, y, scale=8.0, smoothing=0.1), 32)
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (4, 32, 32, 3), np.uint8), np.array([0, 0, 1, 1])
    variation = np.tile(np.float32([0, 0, 1, 1]), (4, 1)), np.ones((4, 3), np.float32)
    value = float(run(*inputs, *variation)["loss"])
    graph = run.get_concrete_function(*inputs, *variation).graph
    return value, {node.outputs[0].dtype.name for node in graph.get_operations() if node.type == "Conv2D"}


def an_encoder() -> keras.Model:
    return proxies.with_proxies(encoders.siamese_cnn(seed=0), np.eye(2, 128, dtype=np.float32))


def test_a_step_computes_in_bfloat16_where_a_gpu_does(capable: None) -> None:
    value, types = step(an_encoder())
    assert types == {"bfloat16"}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(precision, "computes_in_bfloat16", lambda: False)
        exact, types = step(an_encoder())
    assert types == {"float32"}
    assert value != exact and value == pytest.approx(exact, rel=0.02)


def test_the_encoder_stays_in_float32(capable: None) -> None:
    encoder = an_encoder()
    step(encoder)
    assert {variable.dtype for variable in encoder.variables} == {"float32"}
    assert {layer.compute_dtype for layer in encoder.layers[0].layers} == {"float32"}
    # Refuses what is away from float32 by more than 1e-4.
    assert features.convert(encoder.layers[0])


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [([], False), ([(8, 0)], True), ([(7, 5)], False), ([(9, 0), (7, 5)], False), ([None], False)],
)
def test_the_weakest_gpu_decides(monkeypatch, capabilities: list, expected: bool) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: capabilities)
    details = tf.config.experimental
    monkeypatch.setattr(details, "get_device_details", lambda gpu: {"compute_capability": gpu} if gpu else {})
    assert precision.computes_in_bfloat16() is expected
