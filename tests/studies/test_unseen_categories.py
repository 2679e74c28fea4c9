"""Which categories are held out."""

from __future__ import annotations

import numpy as np

from retrieval.studies.unseen_categories import hold_out


def test_draws_hold_out_other_categories() -> None:
    categories = np.arange(15).astype(str)
    drawn = [hold_out(categories, draw=draw) for draw in range(5)]
    assert sorted(np.concatenate(drawn)) == sorted(categories)
