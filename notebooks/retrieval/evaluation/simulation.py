"""Relevance feedback over all queries, from a simulated user who judges by the categories."""

from dataclasses import dataclass

import numpy as np

from retrieval.data.parts import Part
from retrieval.errors import SkippedError
from retrieval.evaluation.metrics import precision_at
from retrieval.progress import passing_bar
from retrieval.search.feedback import Method, rocchio
from retrieval.search.neighbours import nearest

JUDGED = 10  # images in a round, if there are enough


@dataclass(frozen=True)
class Rounds:
    """Precision of every query after every round, each float64 `[rounds + 1, n_queries]`.

    Measured on as many of the nearest images as a round judges. Row t uses the query moved t times; row 0 is
    before any feedback.

    Attributes:
        precision: over the whole gallery. It counts images judged before, which a moved query brings back.
        residual: without the images judged before and their duplicates, over the residual collection.
        baseline_residual: the original query's, with the same images left out: what `residual` has to beat.
        perfect: the most that any ranking of the residual collection could reach, as relevant images run out.
    """

    precision: np.ndarray
    residual: np.ndarray
    baseline_residual: np.ndarray
    perfect: np.ndarray


def simulate(
    gallery: Part,
    queries: Part,
    *,
    method: Method = rocchio,
    rounds: int = 1,
    judged: int = JUDGED,
    wrong: float = 0.0,
    seed: int = 0,
) -> Rounds:
    """Feedback from a user who judges as the categories say, except for mistakes.

    Each round judges the nearest images that were not judged yet. The next query is what the method makes of
    the original query and all images judged so far. Judging an image judges its duplicates.

    Args:
        rounds: how often a query is moved.
        judged: images that are judged in a round; also the cut-off of the precision.
        wrong: the chance in [0, 1] that a judgement is the opposite of what the categories say.
            Precision goes by the categories all the same.
        seed: methods compared with one seed meet the same wrong judgements, by round, query and rank.

    Raises:
        ValueError: the gallery may have too few images to judge and score in every round.
    """
    depth = _depth(gallery.groups, rounds, judged)
    original = ranking = nearest(gallery.features, queries.features, depth, method="exact")[1]
    mistakes = np.random.default_rng(seed).random((rounds + 1, len(queries), judged)) < wrong
    seen, marked = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), bool)
    scores = []
    for mistaken in passing_bar(mistakes, "judging", unit="round"):
        if seen.size:
            judgements = zip(queries.features, seen, marked, strict=True)
            moved = [method(query, gallery.features[found], right) for query, found, right in judgements]
            ranking = nearest(gallery.features, np.stack(moved), depth, method="exact")[1]
        shown = [ranking, *(_unseen(found, seen, gallery.groups) for found in (ranking, original))]
        relevant = [
            gallery.categories[found[:, :judged]] == queries.categories[:, np.newaxis] for found in shown
        ]
        perfect = np.minimum(_left(gallery, queries, seen) / judged, 1)
        scores.append([*(precision_at(each, judged) for each in relevant), perfect])
        seen = np.concatenate([seen, shown[1][:, :judged]], axis=1)
        marked = np.concatenate([marked, relevant[1] ^ mistaken], axis=1)
    return Rounds(*np.stack(scores, axis=1))


def judgeable(gallery: Part, *, rounds: int) -> int:
    """How many images each of some rounds can judge so that as many are left: ten, fewer if it is tiny.

    Raises:
        SkippedError: not even one, because too few images of the gallery are no copies of each other.
    """
    groups = len(np.unique(gallery.groups))
    if groups <= rounds:
        raise SkippedError(
            f"{rounds} rounds of feedback need {rounds + 1} images in the gallery that are no copies of each "
            f"other, and there are {groups}"
        )
    return min(JUDGED, groups // (rounds + 1))


def _depth(groups: np.ndarray, rounds: int, judged: int) -> int:
    """How much of a ranking is needed: even if each judged image has as many duplicates as any."""
    largest = np.sort(np.unique(groups, return_counts=True)[1])[::-1]
    depth = judged + int(largest[: rounds * judged].sum())
    if depth > len(groups):
        raise ValueError(f"{rounds} rounds of {judged} need {depth} images, the gallery has {len(groups)}")
    return depth


def _left(gallery: Part, queries: Part, seen: np.ndarray) -> np.ndarray:
    """How many relevant images of no group seen, `[n, s]` positions, every query has, `[n]`."""
    names, codes = np.unique(np.concatenate([gallery.categories, queries.categories]), return_inverse=True)
    held, asked = np.split(codes, [len(gallery)])
    pairs, counts = np.unique(gallery.groups * len(names) + held, return_counts=True)
    groups = np.sort(gallery.groups[seen], axis=1)
    wanted = groups * len(names) + asked[:, np.newaxis]
    at = np.searchsorted(pairs, wanted).clip(max=len(pairs) - 1)
    is_first = np.diff(groups, axis=1, prepend=-1) > 0
    taken = np.where((pairs[at] == wanted) & is_first, counts[at], 0)
    return np.bincount(held, minlength=len(names))[asked] - taken.sum(axis=1)


def _unseen(ranking: np.ndarray, seen: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Each row of a ranking `[n, depth]` with the images of groups seen `[n, s]` moved to its end."""
    is_seen = (groups[ranking][:, :, np.newaxis] == groups[seen][:, np.newaxis]).any(axis=2)
    return np.take_along_axis(ranking, np.argsort(is_seen, axis=1, kind="stable"), axis=1)
