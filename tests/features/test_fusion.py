"""Fused features: what scaling and joining do to values and to distances."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.features import fusion, normalising


def features(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 2, size=shape).astype(np.float32)


# Two columns of values that are zero or far enough from it to be squared in float32.
VALUES = st.floats(-1000, 1000, width=32).map(lambda x: x if abs(x) > 1e-3 else 0.0)
ROWS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5)


def slow_unit(row: Sequence[float]) -> list[float]:
    length = math.hypot(*row)
    return [x / length if length else x for x in row]


def test_min_max_fills_the_unit_interval_as_a_whole() -> None:
    train = np.array([[-2.0, 0.0], [6.0, 2.0]], np.float32)
    # A column alone does not reach 1.
    np.testing.assert_allclose(normalising.min_max(train, like=train), [[0, 0.25], [1, 0.5]])


@given(ROWS, ROWS.filter(lambda rows: np.ptp(rows) > 0.01))
def test_other_parts_are_scaled_by_the_range_of_train(rows, train):
    low, high = min(map(min, train)), max(map(max, train))
    scaled = normalising.min_max(np.array(rows), like=np.array(train))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[(x - low) / (high - low) for x in row] for row in rows], rtol=1e-6)


def test_min_max_keeps_the_order_of_distances() -> None:
    train, queries = features(50, 6), features(4, 6, seed=1)
    scaled = [normalising.min_max(part, like=train) for part in (train, queries)]

    def ranking(train: np.ndarray, queries: np.ndarray) -> np.ndarray:
        return np.linalg.norm(queries[:, np.newaxis] - train, axis=2).argsort(axis=1)

    np.testing.assert_array_equal(ranking(*scaled), ranking(train, queries))


def test_constant_features_have_no_range() -> None:
    with pytest.raises(ValueError, match=r"^all features are 2\.5: there is no range"):
        normalising.min_max(features(2, 2), like=np.full((3, 2), 2.5))


@given(ROWS)
def test_l2_normalise_is_the_slow_version(rows):
    unit = normalising.l2_normalise(np.array(rows))
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, [slow_unit(row) for row in rows], rtol=1e-6)
    assert normalising.l2_normalise(np.zeros((2, 3))).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("order", ["C", "F"])
def test_concatenate_joins_corresponding_rows(order: str) -> None:
    first, second = np.asarray(features(5, 3), order=order), np.asarray(features(5, 2, seed=1), order=order)
    joined = fusion.concatenate(first, second)
    assert joined.flags.c_contiguous and joined.dtype == np.float32
    assert [row.tolist() for row in joined] == [
        [*a, *b] for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]


@pytest.mark.parametrize("join", [fusion.concatenate, lambda *parts: fusion.weighted(*parts, 0.5)])
def test_parts_of_different_length_are_refused(join) -> None:
    with pytest.raises(ValueError, match="match exactly"):
        join(features(5, 3), features(4, 3))


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=5), st.floats(0, 1))
def test_weighted_is_the_slow_version(rows, weight):
    fused = fusion.weighted(np.array(rows)[:, :2], np.array(rows)[:, 2:], weight)
    assert fused.dtype == np.float32 and fused.flags.c_contiguous
    expected = [
        [math.sqrt(weight) * x for x in slow_unit(row[:2])]
        + [math.sqrt(1 - weight) * x for x in slow_unit(row[2:])]
        for row in rows
    ]
    np.testing.assert_allclose(fused, expected, rtol=1e-6, atol=1e-7)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_weighted_distances_are_the_weighted_mean_of_the_parts(seed, weight):
    first, second = features(2, 5, seed=seed), 100 * features(2, 9, seed=seed + 1)
    fused = fusion.weighted(first, second, weight)
    assert fused.shape == (2, 14) and fused.dtype == np.float32 and fused.flags.c_contiguous

    def squared(rows: np.ndarray) -> float:
        return float(np.square(rows[0] - rows[1]).sum())

    parts = [squared(normalising.l2_normalise(part)) for part in (first, second)]
    assert squared(fused) == pytest.approx(weight * parts[0] + (1 - weight) * parts[1], abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(fused, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("weight", [-0.01, 1.01, float("nan")])
def test_a_weight_outside_the_unit_interval_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=rf"^weight={weight} is not in \[0, 1\]$"):
        fusion.weighted(features(2, 3), features(2, 3), weight)


def slow_best_weight(rows: list[tuple[float, float, float]]) -> float:
    alone = min(anmrr for weight, _, anmrr in rows if weight in (0, 1))
    best, highest = None, -1.0
    for weight, accuracy, anmrr in rows:
        if anmrr <= alone and accuracy > highest:
            best, highest = weight, accuracy
    return best


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=8))
def test_the_best_weight_is_that_of_the_slow_version(measured):
    """Few values, so that weights tie in either figure."""
    curve = pd.DataFrame(measured, columns=["accuracy", "anmrr"]) / 3
    curve.insert(0, "weight", np.linspace(0, 1, len(measured)))
    assert fusion.best_weight(curve) == slow_best_weight(curve.to_numpy().tolist())


def test_the_best_weight_costs_nothing_in_anmrr():
    curve = pd.DataFrame(
        {
            "weight": [0.0, 0.1, 0.2, 0.3, 1.0],
            "accuracy": [0.92, 0.93, 0.93, 0.95, 0.87],
            "map": 0.5,
            "anmrr": [0.10, 0.09, 0.10, 0.11, 0.40],
        }
    )
    assert fusion.best_weight(curve) == 0.1  # 0.2 ties in accuracy and comes later, 0.3 costs ANMRR
    assert fusion.best_weight(curve.assign(anmrr=[0.1, 0.2, 0.2, 0.2, 0.4])) == 0.0
    assert fusion.best_weight(curve.assign(anmrr=[0.5, 0.45, 0.41, 0.42, 0.4])) == 1.0
