"""A feedback session: its marks, its next round by hand and against the simulation, its scores."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.data.parts import Part
from retrieval.evaluation import simulation
from retrieval.search import feedback, session
from retrieval.search.neighbours import nearest

INDEX = np.array([[0.0, 1.0], [1.0, 1.0], [3.0, 0.0], [0.0, 4.0], [5.0, 5.0]])
QUERY = np.array([0.0, 0.0])


def begun(shown: int = 3) -> session.Session:
    return session.search((), INDEX, QUERY, shown=shown)


def test_the_first_round_is_the_plain_ranking() -> None:
    (first,) = begun()
    assert first.shown.tolist() == [0, 1, 2] and first.marks == {}


def test_a_mark_goes_from_relevant_to_irrelevant_to_none() -> None:
    once = session.mark(begun(), 1)
    twice = session.mark(once, 1)
    assert [once[-1].marks, twice[-1].marks, session.mark(twice, 1)[-1].marks] == [{1: True}, {1: False}, {}]


def test_the_next_round_is_rocchios() -> None:
    marked = session.mark(session.mark(session.mark(begun(), 2), 0), 0)
    after = session.search(marked, INDEX, QUERY, shown=3)
    # 0.75 (3, 0) - 0.15 (0, 1)
    assert after[1].shown.tolist() == nearest(INDEX, np.array([[2.25, -0.15]]), 3)[1][0].tolist() == [2, 1, 0]
    assert after[0] is marked[0]


def test_marks_of_all_rounds_move_the_original_query() -> None:
    second = session.search(session.mark(begun(), 0), INDEX, QUERY, shown=3)
    third = session.search(session.mark(second, 3), INDEX, QUERY, shown=5)
    moved = feedback.rocchio(QUERY, INDEX[[0, 3]], np.array([True, True]))
    assert third[-1].shown.tolist() == nearest(INDEX, moved[np.newaxis], 5)[1][0].tolist()
    assert [each.marks for each in third] == [{0: True}, {0: True, 3: True}, {0: True, 3: True}]


def test_a_round_without_marks_changes_nothing() -> None:
    again = session.search(begun(), INDEX, QUERY, shown=3)
    assert again[0].shown.tolist() == again[1].shown.tolist()


def test_an_action_leaves_the_session_before_it_alone() -> None:
    before = session.mark(begun(), 0)
    session.mark(before, 0)
    session.search(before, INDEX, QUERY, shown=3)
    assert len(before) == 1 and before[0].marks == {0: True}


def test_a_round_scores_all_it_shows_and_what_was_not_judged_before() -> None:
    right = np.array([True, False, True, True, False])
    first = session.mark(session.mark(begun(), 0), 2)
    second = session.search(first, INDEX, QUERY, shown=4)
    assert sorted(second[1].shown.tolist()) == [0, 1, 2, 3]
    assert session.score(second, 0, right) == (pytest.approx(2 / 3), 3, 2)
    assert session.score(second, 1, right) == (0.75, 2, 1)
    # A mark of the round itself makes nothing known to it.
    assert session.score(session.mark(second, 3), 1, right) == (0.75, 2, 1)


def test_who_judges_by_the_labels_gets_what_the_simulation_gets() -> None:
    rng = np.random.default_rng(0)
    categories, asked = rng.integers(0, 3, 60), rng.integers(0, 3, 8)
    centres = rng.normal(size=(3, 4))
    index = centres[categories] + rng.normal(size=(60, 4))
    queries = centres[asked] + rng.normal(size=(8, 4))
    gallery, asking = (
        Part(rows, labels, np.arange(len(rows)).astype(str), np.arange(len(rows)))
        for rows, labels in ((index, categories), (queries, asked))
    )
    simulated = simulation.simulate(gallery, asking, judged=6).precision
    assert simulated[0].tolist() != simulated[1].tolist()
    for query, category, expected in zip(queries, asked, simulated.T, strict=True):
        right = categories == category
        rounds = session.search((), index, query, shown=6)
        for position in rounds[0].shown.tolist():
            for _ in range(1 if right[position] else 2):
                rounds = session.mark(rounds, position)
        rounds = session.search(rounds, index, query, shown=6)
        assert [session.score(rounds, number, right)[0] for number in (0, 1)] == pytest.approx(expected)
