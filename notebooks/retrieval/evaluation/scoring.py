"""All metrics of a gallery and its queries, query by query and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.data.parts import Part
from retrieval.evaluation.metrics import Scores, evaluate
from retrieval.search.neighbours import rank_blocks

if TYPE_CHECKING:
    import pandas as pd


NAMED = 5  # categories that are named in a line


def score(gallery: Part, queries: Part) -> Scores:
    """The metrics of every query, from the full ranking of the gallery by Euclidean distance."""
    rankings = rank_blocks(gallery.features, queries.features)
    return evaluate(rankings, gallery.categories, queries.categories)


def measurable(gallery: Part, queries: Part) -> Part:
    """The queries whose category the gallery has; a line says how many others are left out, and of which.

    Every part has an image of every category. But a gallery that images are left out of may have lost one,
    and then no ranking can be right.
    """
    has = np.isin(queries.categories, gallery.categories)
    if not has.all():
        names = np.unique(queries.categories[~has])
        named = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
        print(f"left out: {(~has).sum()} queries of categories without any image in the gallery ({named})")
    return queries.take(has)


def query_table(scores: Scores, queries: Part) -> pd.DataFrame:
    """The figures of every query, from which every mean, interval and comparison follows.

    Columns: file, group, precision_at_1, precision_at_3, precision_at_10, average_precision, nmrr,
    r_precision, average_precision_at_r (whose mean is MAP@R).
    """
    import pandas as pd

    precision = {f"precision_at_{k}": values for k, values in scores.precision.items()}
    others = {
        name: getattr(scores, name)
        for name in ("average_precision", "nmrr", "r_precision", "average_precision_at_r")
    }
    return pd.DataFrame({"file": queries.files, "group": queries.groups, **precision, **others})


def score_table(scores: Mapping[Any, Scores], name: str) -> pd.DataFrame:
    """A row for each of several scores: P@1, P@3, R-precision, MAP@R, mAP, ANMRR; `name` is of the index."""
    import pandas as pd

    rows = {
        key: {
            **{"P@1": each.precision[1].mean(), "P@3": each.accuracy},
            **{"R-precision": each.r_precision.mean(), "MAP@R": each.map_at_r},
            **{"mAP": each.map, "ANMRR": each.anmrr},
        }
        for key, each in scores.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(name)
