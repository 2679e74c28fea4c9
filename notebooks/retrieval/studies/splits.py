"""The same features under other splits: what a figure owes to duplicates, and to one lucky draw."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from retrieval.artifacts.store import Store
from retrieval.data.dataset import category_of
from retrieval.data.duplicates import duplicate_groups, duplicate_pairs, leaks
from retrieval.data.inspection import from_json
from retrieval.data.parts import Part
from retrieval.data.splitting import split
from retrieval.evaluation.intervals import MEASURES, compare, intervals
from retrieval.evaluation.scoring import query_table, score
from retrieval.evaluation.simulation import simulate
from retrieval.features.normalising import l2_normalise
from retrieval.progress import bar

SEEDS = range(5)
JUDGED = 10


def whole_set(store: Store) -> tuple[Part, pd.DataFrame]:
    """All images with their MobileNetV2 features, and the pairs of `duplicates.duplicate_pairs`.

    Raises:
        RetrievalError: the images or features cannot be used.
    """
    inspection = from_json(store.load("images.json"))
    pairs = duplicate_pairs(inspection)
    categories = np.array([category_of(file) for file in inspection.files])
    groups = duplicate_groups(inspection.files, pairs)
    vectors = store.load("mobilenetv2_all.npy")
    return Part(vectors, categories, np.array(inspection.files), groups), pairs


def price_of_duplicates(images: Part, pairs: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """The same features under three protocols: duplicates ignored, kept in one part, conflicts left out.

    Args:
        images: the whole set.
        pairs: as `duplicates.duplicate_pairs`.
        seed: of the splits and the intervals.

    Returns:
        A row per protocol: queries, duplicate pairs across train and test, and for each of P@3, mAP
        and ANMRR the value and the ends of its 95 % interval. Columns (measure, "value" | "low" |
        "high"), and ("", …) for the counts.
    """
    conflicting = pairs[pairs["kind"] == "conflicting"]
    in_conflict = np.isin(images.files, conflicting[["file", "other_file"]])
    plain = split(images.categories, None, seed=seed)
    grouped = split(images.categories, images.groups, seed=seed)
    protocols = {
        "plain: duplicates ignored": plain,
        "grouped: duplicates in one part": grouped,
        "grouped, conflicting labels left out": np.where(in_conflict, "left out", grouped),
    }
    rows = {}
    for protocol, parts in protocols.items():
        table = _query_table(images, parts)
        leaked = leaks(pairs, images.files.tolist(), parts, between=("train", "test"))
        counts = {("", "queries"): len(table), ("", "leaking pairs"): leaked}
        rows[protocol] = counts | intervals(table, seed=seed).stack().to_dict()
    return pd.DataFrame.from_dict(rows, orient="index")


def worth_of_copies(images: Part, *, seed: int) -> pd.DataFrame:
    """What a plain split owes to copies of the queries in its gallery: with them against without.

    The queries are the same, and so is the rest of the gallery. Unlike another split, this says what
    the copies alone are worth.

    Args:
        images: the whole set.
        seed: of the split and the intervals.

    Returns:
        As `intervals.compare`.
    """
    parts = split(images.categories, None, seed=seed)
    copies = (parts == "train") & np.isin(images.groups, images.groups[parts == "test"])
    without = np.where(copies, "left out", parts)
    return compare(_query_table(images, parts), _query_table(images, without), seed=seed)


def repeat(images: Part, *, grouped: bool, seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """Split and retrieval repeated, for what needs no training.

    Args:
        images: the whole set with MobileNetV2 features.
        grouped: whether duplicates stay in one part.
        seeds: of the splits.

    Returns:
        A row per method and seed, in the columns method, seed, P@3, mAP and ANMRR of the first ranking,
        and "residual P@10": the precision, after one round of Rocchio feedback, among images that were
        not judged.
    """
    rows = []
    unit = images.with_features(l2_normalise(images.features))
    for seed in bar(seeds, "splitting", unit="seed"):
        parts = split(images.categories, images.groups if grouped else None, seed=seed)
        for method, each in {"MobileNetV2": images, "MobileNetV2, unit length": unit}.items():
            gallery, queries = each.take(parts == "train"), each.take(parts == "test")
            scores, residual = score(gallery, queries), _residual(gallery, queries, grouped=grouped)
            rows.append((method, seed, scores.accuracy, scores.map, scores.anmrr, residual))
    return pd.DataFrame(rows, columns=["method", "seed", *MEASURES, f"residual P@{JUDGED}"])


def spread(repeated: pd.DataFrame) -> pd.DataFrame:
    """Mean, sample standard deviation, least and greatest value of every measure, by method."""
    measures = repeated.drop(columns="seed").melt("method", var_name="measure")
    table = measures.groupby(["method", "measure"], sort=False)["value"].agg(["mean", "std", "min", "max"])
    return table.sort_index(level="method", sort_remaining=False)


def _query_table(images: Part, parts: np.ndarray) -> pd.DataFrame:
    gallery, queries = images.take(parts == "train"), images.take(parts == "test")
    return query_table(score(gallery, queries), queries)


def _residual(gallery: Part, queries: Part, *, grouped: bool) -> float:
    if not grouped:
        gallery = replace(gallery, groups=np.arange(len(gallery)))
    largest = np.unique(gallery.groups, return_counts=True)[1].max()
    rounds = simulate(gallery, queries, judged=min(JUDGED, len(gallery) // (1 + largest)))
    return float(rounds.residual[1].mean())
