"""Open-set detection against distances in plain NumPy, and what importing it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import retrieval
from retrieval.search import open_set


def test_the_limit_leaves_out_the_farthest_twentieth_of_validation() -> None:
    gallery, validation = (np.random.default_rng(seed).normal(size=(60, 5)) for seed in (0, 1))
    usual = open_set.calibrate(7 * gallery, validation)
    unit, own = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (gallery, validation))
    expected = np.linalg.norm(own[:, np.newaxis] - unit, axis=2).min(axis=1)
    assert usual.dtype == np.float32 and usual.shape == (60,)
    np.testing.assert_allclose(usual, np.sort(expected), atol=1e-6)
    assert (expected > open_set.limit(usual)).sum() == 3


def test_it_imports_neither_inference_nor_the_store_nor_the_sample() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(retrieval.__file__).parents[1])}
    code = "import retrieval.search.open_set, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    heavy = {"ai_edge_litert", "tensorflow", "sklearn", "scipy", "pandas", "PIL"}
    heavy |= {"retrieval.data.sample", "retrieval.artifacts.store"}
    assert not heavy & set(done.stdout.split())
