"""Settings of feedback methods chosen on validation, and methods compared query by query."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.data.parts import Part
from retrieval.evaluation.simulation import simulate
from retrieval.features.normalising import l2_normalise
from retrieval.search import feedback
from retrieval.studies import feedback_methods


def drawn(rows: int, seed: int) -> Part:
    rng = np.random.default_rng(seed)
    categories = np.arange(rows) % 3
    features = l2_normalise(rng.normal(size=(rows, 4)) + 2 * np.eye(4)[categories])
    return Part(features, categories.astype(str), np.arange(rows).astype(str), np.arange(rows))


def test_the_best_setting_of_each_method_is_chosen() -> None:
    gallery, queries = drawn(60, 0), drawn(12, 1)
    chosen, methods, tried = feedback_methods.choose(gallery, queries, rounds=2, judged=4)
    candidates = feedback_methods.candidates(gallery.features)
    assert list(zip(tried.method, tried.setting, strict=True)) == [
        (name, setting) for name, choices in candidates.items() for setting in choices
    ]
    for name, rows in tried.groupby("method"):
        best = rows.loc[rows["right among the new"].round(3).idxmax()]  # of equals, the first
        assert chosen[name] == best.setting
        found = simulate(gallery, queries, method=methods[name], rounds=2, judged=4)
        assert best["right among the new"] == pytest.approx(found.residual[1:].mean())


def test_the_first_candidate_is_rocchio_as_reported() -> None:
    (first, *_) = feedback_methods.candidates(np.eye(3))[feedback_methods.ROCCHIO].items()
    assert first[0] == (feedback.ALPHA, feedback.BETA, feedback.GAMMA)
    judged, relevant = np.eye(3), np.array([True, False, False])
    np.testing.assert_array_equal(
        first[1](np.ones(3), judged, relevant), feedback.rocchio(np.ones(3), judged, relevant)
    )


def test_methods_are_compared_on_the_same_queries() -> None:
    rng = np.random.default_rng(0)
    base = rng.random((3, 50))
    found = feedback_methods.paired(base + 0.1, base, np.arange(50), seed=0)
    assert found["difference"] == pytest.approx(0.1) and found["low"] == pytest.approx(found["high"])
    assert found["verdict"] == "better"
    assert feedback_methods.paired(base, base, np.arange(50), seed=0)["verdict"] == "no difference"
