"""Results beside the reported figures."""

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from retrieval.artifacts.store import Store
from retrieval.data.parts import PARTS, Part
from retrieval.errors import RetrievalError
from retrieval.evaluation.intervals import intervals, worst_f1
from retrieval.evaluation.metrics import CUTOFFS, category_report
from retrieval.evaluation.scoring import query_table, score
from retrieval.evaluation.simulation import Rounds
from retrieval.search.feedback import ALPHA, BETA, GAMMA
from retrieval.search.neighbours import nearest
from retrieval.settings import PRECISIONS


class Method(NamedTuple):
    """How a method is shown, and whether the original work has it."""

    title: str
    colour: str
    original: bool = False


# By `<features>`, in the order of the notebooks.
METHODS = {
    "mobilenetv2": Method("MobileNetV2", "#0072B2", original=True),
    "siamese_cnn": Method("Siamese CNN", "#999999", original=True),
    "siamese_mobilenetv2": Method("Siamese MobileNetV2", "#009E73", original=True),
    "fused": Method("fused", "#CC79A7", original=True),
    "fused_weighted": Method("fused weighted", "#E69F00"),
    "custom": Method("custom encoder", "#332288"),
    "imagenet_mobilenetv2": Method("MobileNetV2, four views", "#56B4E9"),
    "proxy_mobilenetv2": Method("trained with proxies", "#D55E00"),
    "interpolated_mobilenetv2": Method("weights interpolated", "#AA4499"),
    "proxy_lda": Method("proxies, LDA", "#8C510A"),
    "fused_lda": Method("three encoders, LDA", "#35978F"),
    "expanded": Method("three encoders, LDA, expanded", "#444444"),
}
K = 3  # the original's accuracy is precision at this many retrieved images
SHOWN = 5  # best and worst categories, as many as the original shows
ACCURACY, ANMRR = f"accuracy (P@{K})", "ANMRR"

# `results/<features>.json`, as `keep` writes it.
Result = Mapping[str, Any]


def load_reported() -> dict[str, Any]:
    """The figures of the original work, `reported.json`."""
    return json.loads(Path(__file__).with_name("reported.json").read_text("utf-8"))


class Measured(NamedTuple):
    """A method's `query_table`, its `category_report` at K, and its `worst_f1`."""

    queries: pd.DataFrame
    categories: pd.DataFrame
    worst: tuple[float, float, float]


def measure(gallery: Part, queries: Part, *, seed: int) -> Measured:
    """All that is measured of features, from the ranking of the gallery for the queries."""
    nearest_k = nearest(gallery.features, queries.features, K, method="exact")[1]
    asked, found = queries.categories, gallery.categories[nearest_k]
    worst = worst_f1(asked, found, groups=queries.groups, seed=seed)
    table = query_table(score(gallery, queries), queries)
    return Measured(table, category_report(asked, found), worst)


def keep(store: Store, name: str, measured: Measured, **chosen: Any) -> dict[str, Any]:
    """The figures of the features `name`, saved with their `category_report` and `query_table`.

    What validation chose for the method, such as a weight, is kept with the figures.

    Raises:
        RetrievalError: writing failed.
    """
    needs = [f"{name}_train.npy", f"{name}_test.npy"]
    queries, categories, worst = measured
    kept = _figures(queries, categories, seed=store.settings["seed"]) | _context(store) | chosen
    kept |= {"worst_f1": worst[0], "worst_f1_interval": list(worst[1:])}
    if name == "custom":
        kept["weights"] = {"name": "those of ENCODER", "sha256": store.settings["encoder"]}
    store.save(f"results/{name}.json", kept, needs=needs)
    store.save(f"results/{name}_report.csv", categories.reset_index(), needs=needs)
    store.save(f"results/{name}_queries.csv", queries, needs=needs)
    return kept


def summary(results: Mapping[str, Result], reported: Mapping[str, Any]) -> pd.DataFrame:
    """Accuracy and ANMRR of every method, in [0, 1], by `<features>`, beside the reported figures.

    There is a row per method, as `ordered`. Columns are (measure, "reported" | "reproduced" | "low" |
    "high" | "difference"); low and high are the ends of the 95 % interval of what was reproduced, and what
    was not reported is NaN. If the data are not the original's, there is neither "reported" nor
    "difference", and what is "measured" reproduces nothing.
    """
    rows: dict[str, dict[tuple[str, str], float]] = {}
    for name in ordered(results):
        row = rows[title(name)] = {}
        for measure, key in ((ACCURACY, "accuracy"), (ANMRR, "anmrr")):
            theirs = reported["methods"].get(name, {}).get(key, np.nan)
            ours, (low, high) = results[name][key], results[name][f"{key}_interval"]
            row |= {(measure, "reported"): theirs, (measure, "reproduced"): ours}
            row |= {(measure, "low"): low, (measure, "high"): high}
            row[measure, "difference"] = ours - theirs
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
    if is_comparable(results):
        return table
    return table.drop(columns=["reported", "difference"], level=1).rename(columns={"reproduced": "measured"})


def field_figures(results: Mapping[str, Result]) -> pd.DataFrame:
    """The figures that metric learning compares, a row per method, as `ordered`.

    Columns: Recall@1 (which is P@1), R-precision, MAP@R and mAP, in [0, 1].
    """
    rows = {
        title(name): {
            **{"Recall@1": results[name]["precision_at"]["1"], "R-precision": results[name]["r_precision"]},
            **{"MAP@R": results[name]["map_at_r"], "mAP": results[name]["map"]},
        }
        for name in ordered(results)
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def ordered(names: Iterable[str]) -> list[str]:
    """Names of features in the order of `METHODS`, then by name."""
    names = set(names)
    return [name for name in METHODS if name in names] + sorted(names - set(METHODS))


def best_and_worst(report: pd.DataFrame) -> pd.DataFrame:
    """The five best categories of a `category_report` beside the five worst; all of them if there are few."""
    if len(report) <= 2 * SHOWN:
        return report
    ends = {"best": report.head(SHOWN), "worst": report.iloc[::-1].head(SHOWN)}
    return pd.concat({name: rows.reset_index() for name, rows in ends.items()}, axis=1)


def caption(results: Mapping[str, Result]) -> str:
    """One line: data, split, seed, weights, what is not by default, and whether reported figures compare."""
    first = next(iter(results.values()))
    data = first["data"]
    line = (
        f"{data['name']}: {data['images']} images, {data['categories']} categories; "
        f"{first['split']} split, seed {first['seed']}; {first['weights']['name']}"
    )
    if first.get("epochs"):
        line += f"; EPOCHS={first['epochs']}"
    if first.get("precision", PRECISIONS[0]) != PRECISIONS[0]:
        line += f"; PRECISION={first['precision']}"
    return line if is_comparable(results) else f"{line}; other images than the original's: no comparison"


def remarks(results: Mapping[str, Result]) -> list[str]:
    """Which methods are others under another name, because that is what validation chose."""
    fused = results.get("fused_weighted", {})
    weight, parts = fused.get("weight"), fused.get("parts", ("mobilenetv2", "siamese_mobilenetv2"))
    k = results.get("expanded", {}).get("k")
    lines = []
    if weight in (0, 1):
        alone = title(parts[0 if weight else 1])
        lines.append(f"Fused weighted is {alone} alone, at unit length: validation chose no fusion")
    if k == 0:
        lines.append(f"{title('expanded')} is {title('fused_lda')}: validation chose no expansion")
    return lines


def shown_pairs(reported: Mapping[str, Any], vectors: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The Euclidean distances that the original shows for pairs of files, beside those of `vectors`.

    These are MobileNetV2 features `[1280]` by file. Pairs whose files are not there are left out. The columns
    are query, retrieved, reported, measured and difference.
    """
    rows = [
        (query, file, distance, float(np.linalg.norm(vectors[query] - vectors[file])))
        for query, found in reported["shown_queries"]["pairs"].items()
        for file, distance in found.items()
        if query in vectors and file in vectors
    ]
    table = pd.DataFrame(rows, columns=["query", "retrieved", "reported", "measured"])
    return table.assign(difference=table.measured - table.reported)


def agreement(pairs: pd.DataFrame) -> str:
    """How far the distances of `shown_pairs` are from the reported ones, in a sentence."""
    if pairs.empty:
        return "These are not the photographs of the slides."
    error = (pairs.difference.abs() / pairs.reported).mean()
    return f"Mean difference over {len(pairs)} pairs: {error:.1%}."


def keep_feedback(
    store: Store, features: str, simulated: Rounds, weak: np.ndarray, *, judged: int
) -> dict[str, Any]:
    """The figures of Rocchio (reported weights, all test queries), saved as `results/feedback.json`.

    `weak`, boolean `[n_queries]`, tells which queries are of one of the worst categories.

    Raises:
        RetrievalError: an artifact cannot be used, or writing failed.
    """
    context, measured = _context(store), store.load(f"results/{features}.json")
    kept = {
        "features": features,
        "judged_per_round": judged,
        **{key: context[key] for key in ("queries", "data", "weights", "split", "seed")},
        "rocchio": {"alpha": ALPHA, "beta": BETA, "gamma": GAMMA},
        "precision": simulated.precision.mean(axis=1).tolist(),
        "residual_precision": simulated.residual.mean(axis=1).tolist(),
        "residual_precision_without": simulated.baseline_residual.mean(axis=1).tolist(),
        "weakest_categories": [row["category"] for row in measured["worst_categories"]],
        "weakest_residual": simulated.residual[:, weak].mean(axis=1).tolist(),
        "weakest_residual_without": simulated.baseline_residual[:, weak].mean(axis=1).tolist(),
    }
    needs = [*(f"{features}_{part}.npy" for part in PARTS), f"results/{features}.json"]
    rounds = len(simulated.residual) - 1
    store.save("results/feedback.json", kept, needs=needs, settings={"rounds": rounds, "judged": judged})
    return kept


def read_results(store: Store) -> tuple[dict[str, Result], list[str]]:
    """The usable results by `<features>`, and one line about each that is missing or cannot be used."""
    made = {Path(name).stem for name in store.manifest() if fnmatch(name, "results/*.json")}
    results, problems = {}, []
    original = [name for name, method in METHODS.items() if method.original]
    for name in [*original, *sorted(made - set(original))]:
        try:
            values = store.load(f"results/{name}.json")
        except RetrievalError as error:
            problems.append(str(error))
            continue
        # Neither other files of results, nor those of an earlier version.
        if "worst_f1" in values:
            results[name] = values
    return results, problems


def is_comparable(results: Mapping[str, Result]) -> bool:
    """Whether all results are of the images that the reported figures were measured on."""
    return all(values["data"]["comparable"] for values in results.values())


def title(name: str) -> str:
    """What a method is called, by the name of its features."""
    return METHODS[name].title if name in METHODS else name.replace("_", " ")


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """The summary as text, to 3 digits: differences with their sign, "" for NaN."""
    text = table.astype(object)
    for column in table.columns:
        digits = "+.3f" if column[1] == "difference" else ".3f"
        text[column] = [format(value, digits) if pd.notna(value) else "" for value in table[column]]
    return text


def _figures(queries: pd.DataFrame, categories: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    measured = intervals(queries, seed=seed)
    figures: dict[str, Any] = {}
    for key, measure in (("accuracy", f"P@{K}"), ("anmrr", "ANMRR"), ("map", "mAP")):
        value, low, high = map(float, measured.loc[measure])
        figures |= {key: value, f"{key}_interval": [low, high]}
    return {
        **figures,
        "precision_at": {str(k): float(queries[f"precision_at_{k}"].mean()) for k in CUTOFFS},
        "r_precision": float(queries["r_precision"].mean()),
        "map_at_r": float(queries["average_precision_at_r"].mean()),
        "best_categories": _records(categories.head(SHOWN)),
        "worst_categories": _records(categories.iloc[::-1].head(SHOWN)),
    }


def _context(store: Store) -> dict[str, Any]:
    """What figures belong to: numbers of images, settings, data and weights."""
    return {
        "queries": len(store.files("test")),
        "index_size": len(store.files("train")),
        **{key: store.settings[key] for key in ("split", "seed", "epochs", "precision")},
        "data": store.load("dataset.json"),
        "weights": store.load("weights.json"),
    }


def _records(categories: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"category": category} | {name: float(row[name]) for name in ("precision", "recall", "f1")}
        for category, row in categories.iterrows()
    ]
