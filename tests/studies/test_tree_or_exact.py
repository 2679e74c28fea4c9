"""Timing, and what a KD-tree can skip."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.search.neighbours import LEAF_SIZE
from retrieval.studies import tree_or_exact


class Clock:
    """Every query takes a millisecond, to prepare takes one more, and the first search twice as long."""

    def __init__(self) -> None:
        self.now, self.asked = 0.0, []

    def nearest(self, index: np.ndarray, queries: np.ndarray, k: int, *, method: str) -> None:
        self.asked.append(len(queries))
        self.now += (2 if len(self.asked) == 1 else 1) * (len(queries) + 1) / 1000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tree_or_exact, "nearest", clock.nearest)
    monkeypatch.setattr(tree_or_exact, "perf_counter", lambda: clock.now)
    return clock


@pytest.mark.parametrize(
    ("queries", "at_least", "asked"),
    [
        (10, 1, [10] * 4),
        (1000, 0.05, [64] * 4),
        (1000, 0.2, [64, 128, *[256] * 4]),
        (200, 1, [64, 128, *[200] * 4]),
    ],
)
def test_seconds_per_query(clock: Clock, queries: int, at_least: float, asked: list[int]) -> None:
    vectors = np.zeros((queries, 2))
    seconds = tree_or_exact.seconds_per_query(vectors, vectors, 1, method="exact", at_least=at_least)
    assert clock.asked == asked
    assert seconds == pytest.approx((asked[-1] + 1) / asked[-1] / 1000)


def test_a_sweep_has_a_row_per_shape_and_a_column_per_method(clock: Clock) -> None:
    times = tree_or_exact.sweep([(50, 1), (30, 2), (50, 3)], k=3, seed=0)
    assert times.index.tolist() == [(30, 2), (50, 1), (50, 3)] and times.index.names == ["rows", "dimensions"]
    assert list(times) == ["kdtree", "exact"] and (times > 0).all(axis=None)


def test_how_much_of_a_line_is_visited() -> None:
    """Four leaves, between points 63 and 64, 127 and 128, 191 and 192."""
    index = np.arange(4.0 * LEAF_SIZE)[:, np.newaxis]
    inside, at_a_border = np.array([[32.2]]), np.array([[63.4]])
    assert tree_or_exact.visited(index, inside, 3) == 1 / 4
    assert tree_or_exact.visited(index, at_a_border, 3) == 2 / 4
    assert tree_or_exact.visited(index, np.concatenate([inside, at_a_border]), 3) == 3 / 8
    assert tree_or_exact.visited(index, inside, len(index)) == 1
    assert tree_or_exact.visited(index, np.array([[-50.0]]), 3) == 1 / 4  # from outside


def test_the_leaves_that_are_visited_hold_the_neighbours() -> None:
    rng = np.random.default_rng(0)
    index, queries = rng.normal(size=(700, 3)), rng.normal(size=(20, 3))
    tree = tree_or_exact.KDTree(index, leafsize=LEAF_SIZE)
    cells = list(tree_or_exact._cells(tree.tree, tree.mins, tree.maxes))
    assert sum(rows for rows, _, _ in cells) == len(index)
    for rows, low, high in cells:
        assert ((index >= low) & (index <= high)).all(axis=1).sum() >= rows
    few, many = (tree_or_exact.visited(index, queries, k) for k in (3, 100))
    assert 100 / 700 <= many <= 1 and few < many
