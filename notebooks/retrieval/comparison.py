"""What the queries say of one method, and of the difference between two: values with intervals.

All intervals are 95 % percentile bootstraps over groups of duplicate queries (see
`metrics.bootstrap_interval`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from retrieval.metrics import Scores, bootstrap_interval, verdict

# The column of `query_table` that a measure is the mean of, and whether more of it is better.
MEASURES = {
    "P@3": ("precision_at_3", True),
    "mAP": ("average_precision", True),
    "ANMRR": ("nmrr", False),
}


def query_table(scores: Scores, files: Sequence[str], groups: np.ndarray) -> pd.DataFrame:
    """The figures of every query, from which every mean, interval and comparison follows.

    Args:
        scores: of n queries.
        files: of the queries, `[n]`.
        groups: integers `[n]`, the same for duplicates.

    Returns:
        Columns file, group, precision_at_1, precision_at_3, precision_at_10, average_precision, nmrr.
    """
    precision = {f"precision_at_{k}": values for k, values in scores.precision.items()}
    others = {"average_precision": scores.average_precision, "nmrr": scores.nmrr}
    return pd.DataFrame({"file": files, "group": groups, **precision, **others})


def intervals(queries: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """The measures of one method, from its `query_table`.

    Returns:
        A row for each of P@3, mAP and ANMRR, with the columns value, low and high, in [0, 1].
    """
    rows = {}
    for measure, (column, _) in MEASURES.items():
        values = queries[column].to_numpy()
        rows[measure] = (values.mean(), *bootstrap_interval(values, groups=queries["group"], seed=seed))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])


def compare(first: pd.DataFrame, second: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """The difference between two methods on the same queries, from the `query_table` of each.

    Returns:
        A row for each of P@3, mAP and ANMRR: difference is the first less the second, low and high
        its paired interval, verdict what that says of the first.

    Raises:
        ValueError: the queries are not the same.
    """
    if list(first["file"]) != list(second["file"]):
        raise ValueError("the two methods answered other queries")
    rows = {}
    for measure, (column, higher_is_better) in MEASURES.items():
        differences = (first[column] - second[column]).to_numpy()
        interval = bootstrap_interval(differences, groups=first["group"], seed=seed)
        rows[measure] = (differences.mean(), *interval, verdict(interval, higher_is_better=higher_is_better))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["difference", "low", "high", "verdict"])


def ablation(tables: Mapping[str, pd.DataFrame], against: Mapping[str, str], *, seed: int) -> pd.DataFrame:
    """What every step is worth against the step that it builds on.

    Args:
        tables: the `query_table` of every step, by name.
        against: by step, the one it is compared with; a step without one is where a series starts.
        seed: of the intervals.

    Returns:
        A row per step, indexed by `step`: against; for each measure its value, and difference, low,
        high and verdict as `compare` has them (columns "P@3", "P@3 difference", …).
    """
    rows = {}
    for step, table in tables.items():
        row = {"against": against.get(step, "")}
        row |= {measure: table[column].mean() for measure, (column, _) in MEASURES.items()}
        if step in against:
            compared = compare(table, tables[against[step]], seed=seed)
            row |= {f"{measure} {part}": value for (measure, part), value in compared.stack().items()}
        rows[step] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("step")


def confusion_shares(counts: pd.DataFrame, queried: Sequence[str], *, least: float = 0.03) -> pd.DataFrame:
    """What was retrieved for queries of some categories, without what is rare for all of them.

    Args:
        counts: as `metrics.confusion`.
        queried: the categories to look at.
        least: share that a column has to reach in one row at least, in [0, 1].

    Returns:
        Shares of the images retrieved, in [0, 1]: rows as `queried`, columns as in `counts`.
    """
    shares = counts.loc[queried].div(counts.loc[queried].sum(axis=1), axis=0)
    return shares.loc[:, (shares >= least).any()]
