"""Results beside the reported figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.artifacts.store import Store
from retrieval.errors import RetrievalError
from retrieval.evaluation.intervals import intervals
from retrieval.evaluation.metrics import CUTOFFS

METHODS = {
    "mobilenetv2": "MobileNetV2",
    "siamese_cnn": "Siamese CNN",
    "siamese_mobilenetv2": "Siamese MobileNetV2",
    "fused": "fused",
}
# What the original does not have, in the order of the notebooks.
BEYOND = {
    "fused_weighted": "fused weighted",
    "proxy_mobilenetv2": "proxy MobileNetV2",
    "proxy_projected": "proxy projected",
    "fused_projected": "fused projected",
    "expanded": "expanded",
}
K = 3  # the original's accuracy is precision at this many retrieved images
SHOWN = 5  # best and worst categories, as many as the original shows
ACCURACY, ANMRR = f"accuracy (P@{K}), %", "ANMRR"

# `results/<features>.json`, as `result` builds it.
Result = Mapping[str, Any]


def load_reported() -> dict[str, Any]:
    """The figures of the original work, `reported.json`."""
    return json.loads(Path(__file__).with_name("reported.json").read_text("utf-8"))


def result(queries: pd.DataFrame, categories: pd.DataFrame, context: Mapping[str, Any]) -> dict[str, Any]:
    """A method's figures, as JSON types.

    Args:
        queries: as `comparison.query_table`.
        categories: indexed by category, with the columns precision, recall and f1, best f1 first.
        context: `queries`, `index_size`, `split`, `seed`, `data`, `weights`, and anything else that
            tells what the figures belong to; kept as it is.
    """
    measured = intervals(queries, seed=context["seed"])
    figures = {}
    for key, measure in (("accuracy", f"P@{K}"), ("anmrr", "ANMRR"), ("map", "mAP")):
        value, low, high = measured.loc[measure].tolist()
        figures |= {key: value, f"{key}_interval": [low, high]}
    return {
        **figures,
        "precision_at": {str(k): float(queries[f"precision_at_{k}"].mean()) for k in CUTOFFS},
        "best_categories": _records(categories.head(SHOWN)),
        "worst_categories": _records(categories.iloc[::-1].head(SHOWN)),
        **context,
    }


def keep(
    store: Store, name: str, queries: pd.DataFrame, categories: pd.DataFrame, context: Mapping[str, Any]
) -> dict[str, Any]:
    """Saves a method's `result`, which it returns, with its report and the figures of its queries.

    Args:
        store: that holds the features `<name>_train.npy` and `<name>_test.npy`.
        name: of the features.
        queries: as `result`.
        categories: as `result`.
        context: as `result`.

    Raises:
        RetrievalError: writing failed.
    """
    needs = [f"{name}_train.npy", f"{name}_test.npy"]
    kept = result(queries, categories, context)
    store.save(f"results/{name}.json", kept, needs=needs)
    store.save(f"results/{name}_report.csv", categories.reset_index(), needs=needs)
    store.save(f"results/{name}_queries.csv", queries, needs=needs)
    return kept


def summary(results: Mapping[str, Result], reported: Mapping[str, Any]) -> pd.DataFrame:
    """Accuracy in percent and ANMRR of every method, beside the reported figures.

    Args:
        results: by `<features>`.
        reported: as `load_reported`; a method that it does not know gets NaN.

    Returns:
        One row per method, as `ordered`. Columns (measure,
        "reported" | "reproduced" | "low" | "high" | "difference"), low and high being the ends of the
        95 % interval of what was reproduced. Where the data are not the original's, there is neither
        "reported" nor "difference", and what is "measured" reproduces nothing.
    """
    order = ordered(results)
    columns = {}
    for measure, key, unit in ((ACCURACY, "accuracy", 100), (ANMRR, "anmrr", 1)):
        theirs = pd.Series([reported["methods"].get(name, {}).get(key) for name in order], dtype=float) * unit
        ours = pd.Series([results[name][key] for name in order], dtype=float) * unit
        columns[measure, "reported"] = theirs
        columns[measure, "reproduced"] = ours
        for end, side in enumerate(("low", "high")):
            ends_of = [results[name][f"{key}_interval"][end] for name in order]
            columns[measure, side] = pd.Series(ends_of, dtype=float) * unit
        columns[measure, "difference"] = ours - theirs
    table = pd.DataFrame(columns)
    table.index = pd.Index([title(name) for name in order], name="method")
    if is_comparable(results):
        return table
    return table.drop(columns=["reported", "difference"], level=1).rename(columns={"reproduced": "measured"})


def ordered(names: Iterable[str]) -> list[str]:
    """Names of features in the order of `METHODS`, then of `BEYOND`, then by name."""
    known, names = METHODS | BEYOND, set(names)
    return [name for name in known if name in names] + sorted(names - set(known))


def ends(table: pd.DataFrame) -> pd.DataFrame:
    """The first and the last five rows of a sorted table, or all of a table of up to ten."""
    return table if len(table) <= 2 * SHOWN else pd.concat([table.head(SHOWN), table.tail(SHOWN)])


def caption(results: Mapping[str, Result]) -> str:
    """Data, split, seed, weights, and epochs where they were cut short, in one line; and whether the
    reported figures compare."""
    first = next(iter(results.values()))
    data = first["data"]
    line = (
        f"{data['name']}: {data['images']} images, {data['categories']} categories; "
        f"{first['split']} split, seed {first['seed']}; {first['weights']['name']}"
    )
    if first.get("epochs"):
        line += f"; EPOCHS={first['epochs']}"
    return line if is_comparable(results) else f"{line}; other images than the original's: no comparison"


def remarks(results: Mapping[str, Result]) -> list[str]:
    """Which methods are others under another name, because that is what validation chose."""
    weight = results.get("fused_weighted", {}).get("weight")
    k = results.get("expanded", {}).get("k")
    lines = []
    if weight in (0, 1):
        alone = METHODS["mobilenetv2" if weight else "siamese_mobilenetv2"]
        lines.append(f"Fused weighted is {alone} alone, at unit length: validation chose no fusion")
    if k == 0:
        lines.append("Expanded is fused projected: validation chose no expansion")
    return lines


def shown_pairs(reported: Mapping[str, Any], vectors: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The distances that the original shows for single pairs of files, beside those of `vectors`.

    Args:
        reported: as `load_reported`.
        vectors: MobileNetV2 features `[1280]` by file. Pairs whose files are not there are left out.

    Returns:
        Columns query, retrieved, reported, measured (Euclidean) and difference, a row per pair.
    """
    rows = [
        (query, file, distance, float(np.linalg.norm(vectors[query] - vectors[file])))
        for query, found in reported["shown_queries"]["pairs"].items()
        for file, distance in found.items()
        if query in vectors and file in vectors
    ]
    table = pd.DataFrame(rows, columns=["query", "retrieved", "reported", "measured"])
    return table.assign(difference=table.measured - table.reported)


def read_results(store: Store) -> tuple[dict[str, Result], list[str]]:
    """The usable results by `<features>`, and one line about each that is missing or cannot be used."""
    made = {Path(name).stem for name in store.manifest() if fnmatch(name, "results/*.json")}
    results, problems = {}, []
    for name in [*METHODS, *sorted(made - set(METHODS))]:
        try:
            values = store.load(f"results/{name}.json")
        except RetrievalError as error:
            problems.append(str(error))
            continue
        if "accuracy" in values:
            results[name] = values
    return results, problems


def is_comparable(results: Mapping[str, Result]) -> bool:
    """Whether all results are of the images that the reported figures were measured on."""
    return all(values["data"]["comparable"] for values in results.values())


def title(name: str) -> str:
    """What a method is called, by the name of its features."""
    return (METHODS | BEYOND).get(name, name.replace("_", " "))


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """The summary as text: accuracy to 2 digits, ANMRR to 3, differences with their sign, "" for NaN."""
    text = table.astype(object)
    for measure, kind in table.columns:
        digits = f"{'+' if kind == 'difference' else ''}.{2 if measure == ACCURACY else 3}f"
        text[measure, kind] = [
            format(value, digits) if pd.notna(value) else "" for value in table[measure, kind]
        ]
    return text


def to_text(table: pd.DataFrame) -> str:
    """The summary for a terminal, as `rounded`; "low" and "high" are the ends of 95 % intervals."""
    return rounded(table).to_string()


def _records(categories: pd.DataFrame) -> list[dict[str, Any]]:
    figures = categories[["precision", "recall", "f1"]].astype(float)
    return figures.rename_axis("category").reset_index().to_dict("records")
