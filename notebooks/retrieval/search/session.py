"""A session of relevance feedback: what a person was shown and has judged, round by round.

A session is a tuple of rounds. It never changes: searching and marking return a new one. To undo is to go
back to the session before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retrieval.search.feedback import rocchio
from retrieval.search.neighbours import nearest

# The mark that follows a mark; None is no mark.
AFTER = {None: True, True: False, False: None}


@dataclass(frozen=True)
class Round:
    """What one round showed, and everything that was judged by its end.

    Attributes:
        shown: positions in the index, int64 `[k]`, nearest first.
        marks: True for relevant and False for irrelevant, by position in the index. The marks of earlier
            rounds are included.
    """

    shown: np.ndarray
    marks: Mapping[int, bool]


Session = tuple[Round, ...]


def search(session: Session, index: np.ndarray, query: np.ndarray, *, shown: int) -> Session:
    """The session with one more round: the images nearest to the query, after all marks so far moved it.

    Args:
        session: the rounds so far. In the first round, the query is searched as it is.
        index: features `[n_index, dim]`.
        query: the original query's features `[dim]`.
        shown: images in the round, at most `n_index`.
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
    """How good a round was: its precision, its new images, and the relevant ones among these.

    Args:
        session: has this round.
        number: of the round, from 0.
        right: true for the images of the index that are relevant by their label, boolean `[n_index]`.

    Returns:
        The precision in [0, 1]; the number of images that nobody had judged before; how many of these are
        relevant.
    """
    shown, known = session[number].shown, session[number - 1].marks if number else {}
    new = ~np.isin(shown, list(known))
    return right[shown].mean(), new.sum(), right[shown[new]].sum()
