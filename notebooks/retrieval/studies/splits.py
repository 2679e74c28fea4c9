"""The same features under other splits: what a figure owes to duplicates, and to one lucky draw."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd

from retrieval.artifacts.store import Store
from retrieval.data.dataset import category_of
from retrieval.data.duplicates import duplicate_groups, duplicate_pairs, leaks
from retrieval.data.inspection import from_json
from retrieval.data.parts import Part
from retrieval.data.splitting import split
from retrieval.errors import RetrievalError, SkippedError
from retrieval.evaluation.intervals import MEASURES, compare, intervals
from retrieval.evaluation.scoring import measurable, query_table, score
from retrieval.evaluation.simulation import JUDGED, judgeable, simulate
from retrieval.features.normalising import l2_normalise
from retrieval.progress import bar

SEEDS = range(5)


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


def grouped(images: Part, *, seed: int) -> np.ndarray:
    """`splitting.split` with duplicates in one part, whatever `SPLIT` says.

    Raises:
        SkippedError: there is no such split.
    """
    try:
        return split(images.categories, images.groups, seed=seed)
    except RetrievalError as error:
        reason = str(error).rpartition(": ")[0]
        raise SkippedError(f"{reason}, so there is no grouped split to compare with") from None


def price_of_duplicates(images: Part, pairs: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """The same features under three protocols: duplicates ignored, kept in one part, conflicts left out.

    Args:
        images: the whole set.
        pairs: as `duplicates.duplicate_pairs`.
        seed: of the splits and the intervals.

    Returns:
        A row per protocol: queries, duplicate pairs across train and test, and for each of P@3, mAP
        and ANMRR the value and the ends of its 95 % interval. Columns (measure, "value" | "low" |
        "high"), and ("", …) for the counts. A protocol that leaves nothing to measure has no row, and a line
        says so.

    Raises:
        SkippedError: as `grouped`.
    """
    conflicting = pairs[pairs["kind"] == "conflicting"]
    in_conflict = np.isin(images.files, conflicting[["file", "other_file"]])
    plain = split(images.categories, None, seed=seed)
    together = grouped(images, seed=seed)
    protocols = {
        "plain: duplicates ignored": plain,
        "grouped: duplicates in one part": together,
        "grouped, conflicting labels left out": np.where(in_conflict, "left out", together),
    }
    rows = {}
    for protocol, parts in protocols.items():
        gallery = images.take(parts == "train")
        queries = measurable(gallery, images.take(parts == "test"))
        if not len(queries):
            print(f"left out: the row '{protocol}', because no queries are left")
            continue
        table = query_table(score(gallery, queries), queries)
        leaked = leaks(pairs, images.files.tolist(), parts, between=("train", "test"))
        counts = {("", "queries"): len(table), ("", "leaking pairs"): leaked}
        rows[protocol] = counts | intervals(table, seed=seed).stack().to_dict()
    return pd.DataFrame.from_dict(rows, orient="index")


def worth_of_copies(images: Part, *, seed: int) -> pd.DataFrame:
    """What a plain split owes to copies of the queries in its gallery: with them against without.

    The queries are the same, and so is the rest of the gallery. Unlike another split, this says what
    the copies alone are worth. Queries that have nothing but copies in the gallery are left out of both.

    Args:
        images: the whole set.
        seed: of the split and the intervals.

    Returns:
        As `intervals.compare`; if no queries are left, NaN and the verdict "not measured".
    """
    parts = split(images.categories, None, seed=seed)
    gallery, queries = images.take(parts == "train"), images.take(parts == "test")
    queries = measurable(_without_copies(gallery, queries), queries)
    if not len(queries):
        nothing = dict.fromkeys(("difference", "low", "high"), np.nan)
        return pd.DataFrame(nothing | {"verdict": "not measured"}, list(MEASURES))
    galleries = gallery, _without_copies(gallery, queries)
    return compare(*(query_table(score(each, queries), queries) for each in galleries), seed=seed)


def repeat(images: Part, *, grouped: bool, seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """Split and retrieval repeated, for what needs no training.

    Args:
        images: the whole set with MobileNetV2 features.
        grouped: whether duplicates stay in one part.
        seeds: of the splits.

    Returns:
        A row per method and seed, in the columns method, seed, P@3, mAP and ANMRR of the first ranking,
        and "residual P@10": the precision, after one round of Rocchio feedback, among images that were
        not judged; NaN if there is nothing else than copies to judge.
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


def _without_copies(gallery: Part, queries: Part) -> Part:
    return gallery.take(~np.isin(gallery.groups, queries.groups))


def _residual(gallery: Part, queries: Part, *, grouped: bool) -> float:
    if not grouped:
        gallery = replace(gallery, groups=np.arange(len(gallery)))
    with suppress(SkippedError):
        return float(simulate(gallery, queries, judged=judgeable(gallery, rounds=1)).residual[1].mean())
    return np.nan
