"""The same features under other protocols: what a figure owes to duplicates, and to one lucky split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retrieval.data import duplicates
from retrieval.data.dataset import category_of
from retrieval.data.splitting import split
from retrieval.evaluation import simulation
from retrieval.evaluation.intervals import MEASURES, compare, intervals, query_table
from retrieval.evaluation.metrics import Scores, evaluate
from retrieval.features.normalising import l2_normalise
from retrieval.progress import bar
from retrieval.search.neighbours import rank_blocks

SEEDS = range(5)
JUDGED = 10


def score_split(vectors: np.ndarray, categories: np.ndarray, parts: np.ndarray) -> Scores:
    """The scores of all test images as queries against the train images, by Euclidean distance.

    Args:
        vectors: features of the whole set, `[n, dim]`.
        categories: `[n]`.
        parts: "train", "val", "test" or anything else for what is left out, `[n]`.
    """
    index, queries = parts == "train", parts == "test"
    rankings = rank_blocks(vectors[index], vectors[queries])
    return evaluate(rankings, categories[index], categories[queries])


def price_of_duplicates(
    vectors: np.ndarray, files: Sequence[str], pairs: pd.DataFrame, *, seed: int
) -> pd.DataFrame:
    """The same features under three protocols: duplicates ignored, kept in one part, conflicts left out.

    Args:
        vectors: features of the whole set, `[n, dim]`.
        files: their files, `[n]`.
        pairs: as `audit.duplicate_pairs`.
        seed: of the splits and the intervals.

    Returns:
        A row per protocol: queries, duplicate pairs across train and test, and for each of P@3, mAP
        and ANMRR the value and the ends of its 95 % interval. Columns (measure, "value" | "low" |
        "high"), and ("", …) for the counts.
    """
    categories, groups = _categories(files), duplicates.duplicate_groups(files, pairs)
    conflicting = pairs[pairs["kind"] == "conflicting"]
    in_conflict = np.isin(files, conflicting[["file", "other_file"]])
    plain = split(categories, None, seed=seed)
    grouped = split(categories, groups, seed=seed)
    protocols = {
        "plain: duplicates ignored": plain,
        "grouped: duplicates in one part": grouped,
        "grouped, conflicting labels left out": np.where(in_conflict, "left out", grouped),
    }
    rows = {}
    for protocol, parts in protocols.items():
        table = _query_table(vectors, files, groups, parts)
        leaked = duplicates.leaks(pairs, files, parts, between=("train", "test"))
        counts = {("", "queries"): len(table), ("", "leaking pairs"): leaked}
        rows[protocol] = counts | intervals(table, seed=seed).stack().to_dict()
    return pd.DataFrame.from_dict(rows, orient="index")


def worth_of_copies(
    vectors: np.ndarray, files: Sequence[str], pairs: pd.DataFrame, *, seed: int
) -> pd.DataFrame:
    """What a plain split owes to copies of the queries in its index: with them against without.

    The queries are the same, and so is the rest of the index: unlike another split, this says what
    the copies alone are worth.

    Args and columns as `price_of_duplicates` and `comparison.compare`.
    """
    categories, groups = _categories(files), duplicates.duplicate_groups(files, pairs)
    parts = split(categories, None, seed=seed)
    copies = (parts == "train") & np.isin(groups, groups[parts == "test"])
    without = np.where(copies, "left out", parts)
    return compare(*(_query_table(vectors, files, groups, each) for each in (parts, without)), seed=seed)


def repeat(
    vectors: np.ndarray, files: Sequence[str], groups: np.ndarray | None, seeds: Sequence[int] = SEEDS
) -> pd.DataFrame:
    """Split and retrieval repeated, for what needs no training.

    Args:
        vectors: MobileNetV2 features of the whole set, `[n, 1280]`.
        files: their files, `[n]`.
        groups: of duplicates that stay in one part, and of which judging one is judging all, integers
            `[n]`; None for a plain split.
        seeds: of the splits.

    Returns:
        A row per method and seed, in the columns method, seed, P@3, mAP and ANMRR of the first ranking,
        and "residual P@10", that of the images which were not judged in one round of Rocchio feedback.
    """
    categories, rows = _categories(files), []
    variants = {"MobileNetV2": vectors, "MobileNetV2, unit length": l2_normalise(vectors)}
    for seed in bar(seeds, "splitting", unit="seed"):
        parts = split(categories, groups, seed=seed)
        for method, features in variants.items():
            scores = score_split(features, categories, parts)
            residual = _feedback(features, categories, groups, parts)
            rows.append((method, seed, scores.accuracy, scores.map, scores.anmrr, residual))
    return pd.DataFrame(rows, columns=["method", "seed", *MEASURES, f"residual P@{JUDGED}"])


def spread(repeated: pd.DataFrame) -> pd.DataFrame:
    """Mean, sample standard deviation, least and greatest value of every measure, by method."""
    measures = repeated.drop(columns="seed").melt("method", var_name="measure")
    table = measures.groupby(["method", "measure"], sort=False)["value"].agg(["mean", "std", "min", "max"])
    return table.sort_index(level="method", sort_remaining=False)


def _categories(files: Sequence[str]) -> np.ndarray:
    return np.array([category_of(file) for file in files])


def _query_table(
    vectors: np.ndarray, files: Sequence[str], groups: np.ndarray, parts: np.ndarray
) -> pd.DataFrame:
    """The `comparison.query_table` of `score_split`."""
    tested = parts == "test"
    scores = score_split(vectors, _categories(files), parts)
    return query_table(scores, np.array(files)[tested], groups[tested])


def _feedback(
    vectors: np.ndarray, categories: np.ndarray, groups: np.ndarray | None, parts: np.ndarray
) -> float:
    index, queries = parts == "train", parts == "test"
    groups = np.arange(index.sum()) if groups is None else groups[index]
    largest = np.unique(groups, return_counts=True)[1].max()
    rounds = simulation.simulate(
        vectors[index],
        categories[index],
        vectors[queries],
        categories[queries],
        judged=min(JUDGED, len(groups) // (1 + largest)),
        groups=groups,
    )
    return float(rounds.residual[1].mean())
