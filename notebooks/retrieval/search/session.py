"""A session of relevance feedback: what a person was shown and has judged, round by round.

A session is the tuple of its rounds. It never changes: searching and marking make a new one, so that
undoing is going back to the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retrieval.search.feedback import rocchio
from retrieval.search.neighbours import nearest

# The marks of an image in turn; None is no mark.
AFTER = {None: True, True: False, False: None}


@dataclass(frozen=True)
class Round:
    """What was shown, and all that was judged by the end of it.

    Attributes:
        shown: positions in the index, int64 `[k]`, nearest first.
        marks: True for relevant and False for irrelevant, by position in the index; those of earlier
            rounds are among them.
    """

    shown: np.ndarray
    marks: Mapping[int, bool]


Session = tuple[Round, ...]


def search(session: Session, index: np.ndarray, query: np.ndarray, *, shown: int) -> Session:
    """The session with one round more: what is nearest to the query as moved by all marks so far.

    Args:
        session: the rounds so far; without any, the query is searched for as it is.
        index: features `[n_index, dim]`.
        query: the original query's features `[dim]`.
        shown: images in a round, at most `n_index`.
    """
    marks = session[-1].marks if session else {}
    judged, relevant = np.array([*marks], np.int64), np.array([*marks.values()], bool)
    moved = rocchio(query, index[judged], relevant)
    return (*session, Round(nearest(index, moved[np.newaxis], shown, method="exact")[1][0], marks))


def mark(session: Session, position: int) -> Session:
    """The session with the next mark at a position in its last round: relevant, irrelevant, none."""
    *earlier, last = session
    marks = {**last.marks, position: AFTER[last.marks.get(position)]}
    kept = {judged: relevant for judged, relevant in marks.items() if relevant is not None}
    return (*earlier, Round(last.shown, kept))


def score(session: Session, number: int, right: np.ndarray) -> tuple[float, int, int]:
    """How good a round was.

    Args:
        session: has a round of that number.
        number: of the round, from 0.
        right: which images of the index are relevant by their label, boolean `[n_index]`.

    Returns:
        The precision, in [0, 1]; how many images nobody had judged before; how many of these are right.
    """
    shown, known = session[number].shown, session[number - 1].marks if number else {}
    new = ~np.isin(shown, list(known))
    return right[shown].mean(), new.sum(), right[shown[new]].sum()
