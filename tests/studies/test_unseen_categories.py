"""What was measured on categories that training never saw, as a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pictures import fails

from retrieval.artifacts.store import Store
from retrieval.studies import unseen_categories


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
    assert unseen_categories.summary(store, seed=0).empty
    table = measured(plain=[0.0, 0.0, 0.0], interpolated=[0.5, 1.0, 1.0])
    store.save("unseen_1.csv", table)
    summary = unseen_categories.summary(store, seed=0)
    assert summary.index.tolist() == [(1, "plain"), (1, "interpolated")]
    assert summary["P@3"].round(3).tolist() == [0, 0.833]
    assert summary.loc[(1, "interpolated"), "P@3 verdict"] == "better"
    assert summary.loc[(1, "interpolated"), "mAP verdict"] == "no difference"
