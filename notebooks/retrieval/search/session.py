"""A session of relevance feedback: what a person was shown and has judged, round by round.

A session is a tuple of rounds. It never changes: searching and marking return a new one. To undo is to go
back to the session before.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retrieval.search.feedback import rocchio
from retrieval.search.neighbours import nearest

# The mark that follows a mark; None is no mark.
AFTER = {None: True, True: False, False: None}


@dataclass(frozen=True)
class Round:
    """The positions that one round showed, int64 `[k]`, nearest first, and all marks up to its end.

    A mark is True for relevant and False for irrelevant, by position in the index.
    """

    shown: np.ndarray
    marks: Mapping[int, bool]


Session = tuple[Round, ...]


def search(session: Session, index: np.ndarray, query: np.ndarray, *, shown: int) -> Session:
    """The session with one more round: the images of the index `[n_index, dim]` nearest to the moved query.

    All marks so far move the original `query`, `[dim]`. In the first round there are none.
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


def new(session: Session, number: int) -> np.ndarray:
    """Which images of a round, counted from 0, nobody had judged before, boolean `[k]`."""
    return ~np.isin(session[number].shown, list(session[number - 1].marks if number else ()))


def score(session: Session, number: int, right: np.ndarray) -> tuple[float, int, int]:
    """How good a round was: its precision in [0, 1], its `new` images, the relevant ones among these.

    `right`, boolean `[n_index]`, is true for the images of the index that are relevant by their label.
    """
    relevant, fresh = right[session[number].shown], new(session, number)
    return relevant.mean(), fresh.sum(), relevant[fresh].sum()
