"""Values, intervals and differences of methods, from the figures of their queries."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.data.parts import Part
from retrieval.evaluation import intervals as module
from retrieval.evaluation.intervals import (
    DISAGREE,
    MEASURES,
    ablation,
    agreed,
    compare,
    intervals,
    worst_f1,
)
from retrieval.evaluation.metrics import Scores, category_report
from retrieval.evaluation.scoring import query_table

QUERIES = 400


def queries_of(n: int, groups: np.ndarray | None = None) -> Part:
    files, alone = np.array([f"yak/{row}.jpg" for row in range(n)]), np.arange(n)
    return Part(np.zeros((n, 1)), np.full(n, "yak"), files, alone if groups is None else groups)


def a_table(*, precision: float = 0.8, nmrr: float = 0.3, groups: np.ndarray | None = None) -> pd.DataFrame:
    """Random figures of 400 queries around these means."""
    rng = np.random.default_rng(0)
    hits = {k: (rng.random(QUERIES) < precision).astype(float) for k in (1, 3, 10)}
    ap, modified_rank, at_r = rng.random((3, QUERIES))
    scores = Scores(hits, ap * precision, modified_rank * 2 * nmrr, at_r, at_r / 2)
    return query_table(scores, queries_of(QUERIES, groups))


def test_a_table_holds_every_figure_of_every_query() -> None:
    others = (np.array([figure]) for figure in (0.5, 0.2, 0.4, 0.3))
    scores = Scores({1: np.array([1.0]), 3: np.array([2 / 3]), 10: np.array([0.4])}, *others)
    table = query_table(scores, queries_of(1, np.array([7])))
    assert table.to_dict("records") == [
        {
            **{"file": "yak/0.jpg", "group": 7},
            **{"precision_at_1": 1.0, "precision_at_3": 2 / 3, "precision_at_10": 0.4},
            **{"average_precision": 0.5, "nmrr": 0.2, "r_precision": 0.4, "average_precision_at_r": 0.3},
        }
    ]


def test_intervals_hold_the_means() -> None:
    table = a_table()
    measured = intervals(table, seed=0)
    assert list(measured.index) == list(MEASURES) == ["P@3", "mAP", "ANMRR"]
    assert measured.value.tolist() == [
        table[column].mean() for column in ("precision_at_3", "average_precision", "nmrr")
    ]
    assert (measured.low < measured.value).all() and (measured.value < measured.high).all()


def test_duplicates_widen_the_interval() -> None:
    table = a_table()
    copies = pd.concat([table] * 4).assign(group=np.tile(table.group, 4))
    alone, together = intervals(table, seed=0), intervals(copies, seed=0)
    pd.testing.assert_frame_equal(together, alone, rtol=0.01)
    as_if_independent = intervals(copies.assign(group=np.arange(len(copies))), seed=0)
    narrower = (as_if_independent.high - as_if_independent.low) / (alone.high - alone.low)
    assert (narrower < 0.6).all()


def test_a_difference_is_paired_and_put_into_words() -> None:
    first = a_table()
    better = first.assign(precision_at_3=np.maximum(first.precision_at_3, np.arange(QUERIES) % 20 == 0))
    better["nmrr"] -= 0.01
    differences = compare(better, first, seed=0)
    assert differences.verdict.to_dict() == {"P@3": "better", "mAP": "no difference", "ANMRR": "better"}
    assert differences.loc["ANMRR", ["difference", "low", "high"]].tolist() == pytest.approx([-0.01] * 3)
    assert compare(first, better, seed=0).verdict.tolist() == ["worse", "no difference", "worse"]
    # Unpaired, the two intervals overlap by far.
    assert intervals(first, seed=0).high["P@3"] > intervals(better, seed=0).low["P@3"]


def test_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="other queries"):
        compare(a_table(), a_table().iloc[::-1], seed=0)


def test_an_ablation_compares_every_step_with_the_one_it_builds_on() -> None:
    first = a_table()
    tables = {"start": first, "step": first.assign(nmrr=first.nmrr - 0.1), "worse": first}
    steps = ablation(tables, {"step": "start", "worse": "step"}, seed=0)
    assert steps.index.tolist() == list(tables)
    assert steps.against.tolist() == ["", "start", "step"]
    assert steps["ANMRR"].tolist() == pytest.approx([table.nmrr.mean() for table in tables.values()])
    assert steps["ANMRR difference"].tolist()[1:] == pytest.approx([-0.1, 0.1])
    assert steps["ANMRR verdict"].tolist()[1:] == ["better", "worse"]
    assert steps["P@3 verdict"].tolist()[1:] == ["no difference"] * 2
    assert steps.loc["start"].filter(like="difference").isna().all()


def flat(precision: float) -> pd.DataFrame:
    columns = {"precision_at_3": precision, "average_precision": precision / 2, "nmrr": 1 - precision}
    return pd.DataFrame({"file": list("abcd"), "group": range(4), **columns})


def test_trainings_give_a_verdict_only_if_they_agree() -> None:
    def over(precisions: list[float]) -> pd.DataFrame:
        tables = [{"base": flat(0.5), "step": flat(precision)} for precision in precisions]
        return agreed([ablation(each, {"step": "base"}, seed=0) for each in tables])

    verdicts = [f"{measure} verdict" for measure in MEASURES]
    better, torn, same = over([0.6, 0.7, 0.8]), over([0.6, 0.7, 0.5]), over([0.5, 0.5])
    assert better.loc["step", verdicts].tolist() == ["better"] * 3 and better.against["step"] == "base"
    columns = [f"{measure}{part}" for measure in MEASURES for part in ("", " difference", " low", " high")]
    expected = [0.7, 0.2, 0.1, 0.3, 0.35, 0.1, 0.05, 0.15, 0.3, -0.2, -0.3, -0.1]
    np.testing.assert_allclose(better.loc["step", columns].astype(float), expected)
    assert torn.loc["step", verdicts].tolist() == [DISAGREE] * 3
    assert same.loc["step", verdicts].tolist() == ["no difference"] * 3
    assert better.loc["base", ["P@3 difference", "P@3 verdict"]].isna().all()


def slow_worst_f1(queries: list[tuple[str, list[str]]]) -> float:
    """The mean F1 of the five worst of the categories of these queries, each with what it retrieved."""
    right = Counter(category for category, found in queries for name in found if name == category)
    pairs = Counter(name for category, found in queries for name in [*found, *[category] * len(found)])
    f1 = sorted(2 * right[name] / pairs[name] for name in {category for category, _ in queries})
    return sum(f1[:5]) / len(f1[:5])


ANSWERED = st.tuples(
    st.sampled_from("abcdefg"), st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=2)
)


@settings(max_examples=25)
@given(st.lists(st.lists(ANSWERED, min_size=1, max_size=3), min_size=1, max_size=4))
def test_the_worst_five_are_chosen_anew_in_all_resamples_of_the_groups(groups):
    queries = [query for group in groups for query in group]
    categories, retrieved = (np.array(column) for column in zip(*queries, strict=True))
    numbers = np.repeat(np.arange(len(groups)), [*map(len, groups)])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "RESAMPLES", 2000)
        value, low, high = worst_f1(categories, retrieved, groups=numbers)
    assert value == pytest.approx(slow_worst_f1(queries))
    assert value == pytest.approx(category_report(categories, retrieved).f1.nsmallest(5).mean())
    drawn = product(groups, repeat=len(groups))
    means = sorted(slow_worst_f1([query for group in each for query in group]) for each in drawn)
    # 2,000 resamples meet a share of all to within 0.02.
    least, most = (
        np.quantile(means, [share - 0.02, share + 0.02], method="inverted_cdf") for share in (0.025, 0.975)
    )
    assert low in (0, pytest.approx(value)) or 2 * value - most[1] - 1e-9 <= low <= 2 * value - most[0] + 1e-9
    assert high == 1 or 2 * value - least[1] - 1e-9 <= high <= 2 * value - least[0] + 1e-9


def test_the_interval_of_the_worst_five_covers_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty categories, whose neighbour in the row is retrieved instead, more or less often."""
    monkeypatch.setattr(module, "RESAMPLES", 300)
    rng, codes = np.random.default_rng(3), np.repeat(np.arange(20), 40)
    errors = np.linspace(0.05, 0.4, 20)
    # Of a category's pairs, 1 - error are right; it is also retrieved by mistake for the category before it.
    truth = np.sort(2 * (1 - errors) / (2 - errors + np.roll(errors, 1)))[:5].mean()
    values, covered = [], []
    for _ in range(100):
        wrong = rng.random((len(codes), 3)) < errors[codes][:, np.newaxis]
        retrieved = (codes[:, np.newaxis] + wrong) % 20
        value, low, high = worst_f1(codes, retrieved, groups=np.arange(len(codes)))
        values.append(value)
        covered.append(low <= truth <= high)
    assert np.mean(values) < truth  # chosen for being bad
    assert np.mean(covered) >= 0.9


def test_copies_of_queries_do_not_narrow_the_interval_of_the_worst_five() -> None:
    rng = np.random.default_rng(3)
    categories, groups = np.tile([*"abcdefg"], 30), np.arange(210)
    retrieved = np.where(rng.random((210, 3)) < 0.3, "a", categories[:, np.newaxis])
    alone = worst_f1(categories, retrieved, groups=groups)
    copies = (np.tile(each, (3, 1)[: each.ndim]) for each in (categories, retrieved))
    assert worst_f1(*copies, groups=np.tile(groups, 3)) == pytest.approx(alone)
