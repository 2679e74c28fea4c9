"""Which queries can be measured."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.data.parts import Part
from retrieval.evaluation.scoring import measurable


def images_of(categories: list[str]) -> Part:
    rows = np.arange(len(categories))
    return Part(rows[:, np.newaxis], np.array(categories, str), rows.astype(str), rows)


@pytest.mark.parametrize(
    ("lost", "named"),
    [("", ""), ("c", "c"), ("bcc", "b, c"), ("bcdefgg", "b, c, d, e, f, …"), ("b" * 3, "b")],
)
def test_queries_whose_category_the_gallery_has_lost_are_left_out_and_named(lost, named, capsys) -> None:
    kept = measurable(images_of(["a", "x", "x"]), images_of([*"ax", *lost, "a"]))
    assert kept.categories.tolist() == ["a", "x", "a"] and kept.files[-1] == str(2 + len(lost))
    line = f"left out: {len(lost)} queries of categories without any image in the gallery ({named})\n"
    assert capsys.readouterr().out == (line if lost else "")
