"""What was measured on categories that training never saw, as a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pictures import fails

from retrieval.artifacts.store import Store
from retrieval.data.parts import Part
from retrieval.settings import Settings
from retrieval.studies import unseen_categories

SETTINGS = Settings(Path(), seed=0, split="grouped", epochs=None, weights="", artifacts=Path())
MADE_WITH = unseen_categories._made_with(SETTINGS)


def measured(**precision: list[float]) -> pd.DataFrame:
    rows = {"file": ["a", "b", "c"], "group": [0, 1, 2], "nmrr": 0.5, "average_precision": 0.5}
    return pd.concat(
        pd.DataFrame({"encoder": name, **rows, "precision_at_3": values})
        for name, values in precision.items()
    )


def test_three_categories_are_too_few_to_hold_two_out() -> None:
    assert len(unseen_categories.hold_out(np.array(["a", "b", "c", "d"]), draw=0)) == 2
    fails(lambda: unseen_categories.hold_out(np.array(["a", "b", "c"]), draw=0), "3 categories are too few")


def test_every_draw_that_is_there_is_compared_with_plain_features(tmp_path: Path) -> None:
    store = Store(tmp_path, {})
    assert unseen_categories.summary(store, SETTINGS).empty
    table = measured(plain=[0.0, 0.0, 0.0], interpolated=[0.5, 1.0, 1.0])
    store.save("unseen_1.csv", table, settings=MADE_WITH)
    summary = unseen_categories.summary(store, SETTINGS)
    assert summary.index.tolist() == [
        (draw, each) for draw in (1, "mean") for each in ("plain", "interpolated")
    ]
    summary = summary.loc[[1]]
    assert summary["P@3"].round(3).tolist() == [0, 0.833]
    assert summary.loc[(1, "interpolated"), "P@3 verdict"] == "better"
    assert summary.loc[(1, "interpolated"), "mAP verdict"] == "no difference"


def test_draws_have_a_mean_and_a_verdict_if_they_agree(tmp_path: Path) -> None:
    store = Store(tmp_path, {})
    first = measured(plain=[0, 0, 0], lda=[1, 1, 1], tuned=[1, 1, 1])
    last = measured(plain=[0.5, 0.5, 0.5], lda=[0.8, 0.8, 0.8], tuned=[0, 0, 0])
    store.save("unseen_0.csv", first, settings=MADE_WITH)
    store.save("unseen_1.csv", first, settings=MADE_WITH | {"shares": [0.1]})  # of another recipe
    store.save("unseen_2.csv", last, settings=MADE_WITH)
    mean = unseen_categories.summary(store, SETTINGS).loc["mean"]
    assert mean["P@3"].round(6).to_dict() == {"plain": 0.25, "lda": 0.9, "tuned": 0.5}
    columns = ["P@3 difference", "P@3 low", "P@3 high"]
    np.testing.assert_allclose(mean.loc["lda", columns].astype(float), [0.65, 0.3, 1])
    verdicts = mean.loc[["lda", "tuned"], ["against", "P@3 verdict", "mAP verdict"]]
    assert verdicts.to_numpy().tolist() == [
        ["plain", "better", "no difference"],
        ["plain", "runs disagree", "no difference"],
    ]
    assert mean.loc["plain", columns].isna().all()


def test_what_is_fitted_to_seen_categories_describes_others() -> None:
    rng = np.random.default_rng(0)

    def drawn(categories: str) -> Part:
        names, rows = np.array([*categories]), np.arange(len(categories))
        return Part(rng.normal(size=(len(names), 6)).astype(np.float32), names, names, rows)

    parts = {
        "train": drawn("ab" * 10),
        "val": drawn("ab" * 5),
        "gallery": drawn("cd" * 4),
        "test": drawn("cd"),
    }
    spaces = unseen_categories._fitted("plain", parts)
    assert (
        list(spaces) == ["plain, PCA", "plain, logistic", "plain, LDA"]
        and unseen_categories._fitted("other", parts) == {}
    )
    for each in spaces.values():
        assert each["test"].categories.tolist() == ["c", "d"]
    # Others are described by the probabilities of the two, not by labels.
    np.testing.assert_allclose(spaces["plain, logistic"]["gallery"].features.sum(axis=1), 1, atol=1e-6)
    assert spaces["plain, logistic"]["gallery"].features.max() < 1
    # Two categories leave one direction.
    assert spaces["plain, LDA"]["gallery"].features.shape == (8, 1)
