"""How sure a figure is: intervals of one method, and of the paired difference between two.

All intervals are 95 % bootstraps over groups of duplicate queries.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

RESAMPLES, RESAMPLE_BLOCK = 10_000, 100  # drawn in all, and at a time
WORST = 5  # categories in the mean of the worst
DISAGREE = "runs disagree"


def bootstrap_interval(
    values: np.ndarray, *, groups: np.ndarray | None = None, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """Both ends of the percentile bootstrap interval of the mean of values, `[n_queries]`.

    Queries that are duplicates of each other say the same thing twice, and an interval that counts them as
    independent is too narrow. Whole groups are therefore drawn, with replacement, as many as there are; the
    mean of a resample is over all queries of the groups drawn. This is the cluster bootstrap (Davison and
    Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8; Field and Welsh, "Bootstrapping
    clustered data", J. R. Statist. Soc. B 69(3), 2007).

    `bootstrap_interval(a - b, groups=groups)` is the paired interval of the difference between two methods
    on the same queries: every query is drawn with what both made of it.

    Args:
        groups: integers `[n_queries]`, equal for duplicates. None takes every query by itself (Efron,
            "Bootstrap methods: another look at the jackknife", 1979).

    Raises:
        ValueError: there are not as many groups as values.

    >>> values = np.array([0.0, 1.0] * 50)
    >>> [round(end, 2) for end in bootstrap_interval(values)]
    [0.4, 0.6]

    The same hundred as 25 groups of two zeros, and 25 of two ones:

    >>> [round(end, 2) for end in bootstrap_interval(np.sort(values), groups=np.arange(100) // 2)]
    [0.36, 0.64]
    """
    from scipy.stats import bootstrap

    row_groups = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sums, sizes = np.bincount(row_groups, values), np.bincount(row_groups)
    if len(sums) == 1:
        return float(values.mean()), float(values.mean())
    found = bootstrap(
        (sums, sizes),
        lambda sums, sizes, axis: sums.sum(axis) / sizes.sum(axis),
        n_resamples=RESAMPLES,
        batch=RESAMPLE_BLOCK,
        paired=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    # Sums of thirds that cancel leave an end next to 0, on either side, which is 0.
    return round(float(found.low), 12) + 0.0, round(float(found.high), 12) + 0.0


def worst_f1(
    categories: np.ndarray, retrieved: np.ndarray, *, groups: np.ndarray, seed: int = 0
) -> tuple[float, float, float]:
    """The mean F1 of the five worst categories, and both ends of its interval, in [0, 1].

    F1 is as in `metrics.category_report`. Of the worst category alone, it would say more about chance than
    about the category. The five are chosen anew in each resample, because other queries would name others.
    But choosing the worst picks what chance made worse, so the value lies too low and the resamples lower
    still. The interval is therefore the basic bootstrap, 2 value - percentile, which takes the shift back
    (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 5.2); it is widened to
    the value if need be. In simulations of 45 categories with 61 queries each, it held the mean of the
    truly worst five in 93 to 96 % of the draws (the percentiles themselves, in 64 to 72 %), so it is hardly
    optimistic about other queries; like every interval here, it says nothing about another training.

    Args:
        categories: of the queries, `[n_queries]`. If there are fewer than five, all count.
        retrieved: the categories of what was retrieved for them, `[n_queries, k]`.
        groups: integers `[n_queries]`, equal for duplicates, which are drawn together.

    >>> categories = np.repeat([*"abcdefgh"], 50)
    >>> retrieved = np.where(np.arange(400) % 50 < 10, np.roll(categories, 50), categories)[:, np.newaxis]
    >>> [round(figure, 2) for figure in worst_f1(categories, retrieved, groups=np.arange(400))]
    [0.8, 0.78, 0.87]
    """
    counts = _counts_by_group(categories, retrieved, groups)
    value, rng, means = float(_mean_of_worst(counts.sum(axis=1))), np.random.default_rng(seed), []
    for _ in range(RESAMPLES // RESAMPLE_BLOCK):
        drawn = rng.integers(counts.shape[1], size=(RESAMPLE_BLOCK, counts.shape[1]))
        times = np.stack([np.bincount(row, minlength=counts.shape[1]) for row in drawn]).astype(float)
        means.append(_mean_of_worst(times @ counts))
    high, low = 2 * value - np.quantile(means, [0.025, 0.975])
    return value, max(0.0, min(value, float(low))), min(1.0, float(high))


def _counts_by_group(categories: np.ndarray, retrieved: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """What F1 follows from, `[3, n_groups, n_categories]`: right pairs, pairs queried, pairs retrieved."""
    names, asked = np.unique(categories, return_inverse=True)
    rows = np.unique(groups, return_inverse=True)[1]
    counts = np.zeros((3, rows.max() + 1, len(names)))
    right = retrieved == categories[:, np.newaxis]
    np.add.at(counts[0], (rows, asked), right.sum(axis=1))
    np.add.at(counts[1], (rows, asked), retrieved.shape[1])
    # A category without a query has no F1.
    known = np.isin(retrieved, names)
    pairs = np.broadcast_to(rows[:, np.newaxis], retrieved.shape)[known]
    np.add.at(counts[2], (pairs, np.searchsorted(names, retrieved[known])), 1)
    return counts


def _mean_of_worst(counts: np.ndarray) -> np.ndarray:
    """The mean F1 of the worst categories, from right pairs, pairs queried, pairs retrieved `[3, …, n]`."""
    right, queried, retrieved = counts
    f1 = np.divide(2 * right, queried + retrieved, out=np.full(right.shape, np.nan), where=queried > 0)
    return np.nanmean(np.sort(f1, axis=-1)[..., :WORST], axis=-1)


def verdict(interval: tuple[float, float], *, higher_is_better: bool = True) -> str:
    """What the interval of the first method's values less the second's says of the first.

    "better", "worse", or "no difference" if it includes zero. Of a measure such as NMRR, less is better.

    >>> verdict((0.01, 0.03)), verdict((0.0, 0.03))
    ('better', 'no difference')
    >>> verdict((0.01, 0.03), higher_is_better=False)
    'worse'
    """
    low, high = interval
    if low <= 0 <= high:
        return "no difference"
    return "better" if (low > 0) == higher_is_better else "worse"


# The column of `query_table` that a measure is the mean of, and whether more of it is better.
MEASURES = {
    "P@3": ("precision_at_3", True),
    "mAP": ("average_precision", True),
    "ANMRR": ("nmrr", False),
}


def intervals(queries: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """P@3, mAP and ANMRR, a row each, from a `query_table`: columns value, low and high, in [0, 1]."""
    rows = {}
    for measure, (column, _) in MEASURES.items():
        values, groups = queries[column].to_numpy(), queries["group"].to_numpy()
        rows[measure] = (values.mean(), *bootstrap_interval(values, groups=groups, seed=seed))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])


def compare(first: pd.DataFrame, second: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """The difference of P@3, mAP and ANMRR, a row each, of two methods, from the `query_table` of each.

    The column difference is the first less the second, low and high its paired interval, and verdict what
    that says of the first.

    Raises:
        ValueError: the queries are not the same.
    """
    if list(first["file"]) != list(second["file"]):
        raise ValueError("the two methods answered other queries")
    rows = {}
    for measure, (column, higher_is_better) in MEASURES.items():
        differences = (first[column] - second[column]).to_numpy()
        interval = bootstrap_interval(differences, groups=first["group"].to_numpy(), seed=seed)
        rows[measure] = (differences.mean(), *interval, verdict(interval, higher_is_better=higher_is_better))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["difference", "low", "high", "verdict"])


def ablation(tables: Mapping[str, pd.DataFrame], against: Mapping[str, str], *, seed: int) -> pd.DataFrame:
    """What every step is worth against the step that it builds on: a row per step, indexed by `step`.

    From the `query_table` of every step, and the step that each is compared with; one without starts a
    series. Columns: against; for each measure its value, and difference, low, high and verdict as `compare`
    has them ("P@3", "P@3 difference", …).
    """
    rows = {}
    for step, table in tables.items():
        row: dict[str, Any] = {"against": against.get(step, "")}
        row |= {measure: table[column].mean() for measure, (column, _) in MEASURES.items()}
        if step in against:
            compared = compare(table, tables[against[step]], seed=seed)
            for measure in MEASURES:
                row |= {f"{measure} {part}": value for part, value in compared.loc[measure].items()}
        rows[step] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("step")


def agreed(ablations: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """What repeated runs say together, from the `ablation` of each: a row for every step.

    One training says little, because another seed of its batches moves the figures by a point or two. Values
    and differences are means, low and high the least and the greatest difference. The verdict is that of all
    runs if they agree, else "runs disagree".
    """
    steps = pd.concat(ablations).groupby("step", sort=False)
    columns = {"against": steps["against"].first()}
    for measure in MEASURES:
        difference, verdicts = f"{measure} difference", steps[f"{measure} verdict"]
        columns |= {name: steps[name].mean() for name in (measure, difference)}
        columns |= {f"{measure} low": steps[difference].min(), f"{measure} high": steps[difference].max()}
        columns[f"{measure} verdict"] = verdicts.first().where(verdicts.nunique() < 2, DISAGREE)
    return pd.DataFrame(columns)
