"""The report to send, one HTML file that needs no other.

Jinja fills it into `page.html` and escapes every name: a folder may be called <script>.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from retrieval.artifacts.store import Store
from retrieval.data.images import load_images
from retrieval.evaluation import metrics, results
from retrieval.evaluation.intervals import confusion_shares
from retrieval.search.neighbours import nearest
from retrieval.views import feature_map
from retrieval.views.grids import data_uri

REFERENCE = "mobilenetv2"  # what the best method is shown beside
NEIGHBOURS = 5  # that are shown of a query
QUERIES = 2  # that are shown of the best answered, and as many of the worst
PICTURE = 112  # pixels a side

# Distances and positions by `<features>`, as `search.nearest` finds them.
Found = Mapping[str, tuple[np.ndarray, np.ndarray]]


def render(
    results: Mapping[str, results.Result],
    problems: Sequence[str] = (),
    closeup: Mapping[str, Any] | None = None,
) -> str:
    """The page as HTML.

    Args:
        results: by `<features>`, one at least.
        problems: lines about what is missing.
        closeup: as `look_closely`; without it, the page has the figures of whole methods only.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(Path(__file__).with_name("page.html").read_text("utf-8"))
    reported = results.load_reported()
    table = results.rounded(results.summary(results, reported))
    return template.render(
        caption=results.caption(results),
        measures={measure: table[measure].to_dict("index") for measure in (results.ACCURACY, results.ANMRR)},
        comparable=results.is_comparable(results),
        source=reported["source"],
        results={results.title(name): results[name] for name in results.ordered(results)},
        k=results.K,
        remarks=results.remarks(results),
        problems=problems,
        closeup=closeup,
    )


def look_closely(
    store: Store, root: Path, results: Mapping[str, results.Result], *, seed: int
) -> dict[str, Any]:
    """What the best method confuses, some queries, and its features on a map.

    The best is that of the highest precision@3, of several that of the highest mAP, of several the first.

    Args:
        store: that holds its features and those of MobileNetV2.
        root: folder of the data set.
        results: by `<features>`, one at least.
        seed: of what is drawn at random.

    Returns:
        What `page.html` needs for these.

    Raises:
        RetrievalError: features or images are missing, damaged or stale.
    """
    order = results.ordered(results)
    # Means of the same values in another order may differ in their last bits.
    scores = {name: (round(results[name]["accuracy"], 9), round(results[name]["map"], 9)) for name in order}
    best = max(order, key=scores.get)
    tied = [name for name in order if scores[name][0] == scores[best][0] and name != best]
    found = {
        name: nearest(store.features(name, "train"), store.features(name, "test"), NEIGHBOURS, method="exact")
        for name in dict.fromkeys([best, REFERENCE])
        if name in results
    }
    categories, files = store.categories("test"), np.array(store.files("test"))
    counts = metrics.confusion(categories, store.categories("train")[found[best][1][:, : results.K]])
    worst = [row["category"] for row in results[best]["worst_categories"]]
    points, rows = feature_map.layout(store.features(best, "test"), seed=seed)
    return {
        "method": results.title(best),
        "tied": [results.title(name) for name in tied],
        "confusion": confusion_shares(counts, worst),
        "queries": _queries(store, root, found, seed=seed),
        "images": len(files),
        "map": feature_map.drawing(points, files[rows].tolist(), categories[rows], root),
        "categories": feature_map.in_words(counts, points, categories[rows]),
    }


def _queries(store: Store, root: Path, found: Found, *, seed: int) -> list[dict[str, Any]]:
    """Some queries, each with its picture and what every method finds for it."""
    drawn = _draw(store, next(iter(found.values()))[1], seed=seed)
    queries = _pictures(store, root, "test", drawn)
    for name, (distances, positions) in found.items():
        pictures = iter(_pictures(store, root, "train", positions[drawn].ravel()))
        for query, row in zip(queries, drawn, strict=True):
            images = [next(pictures) | {"distance": distance} for distance in distances[row]]
            query.setdefault("found", {})[results.title(name)] = images
    return queries


def _draw(store: Store, positions: np.ndarray, *, seed: int) -> np.ndarray:
    """Rows of queries for which the most of what was found is right, then of those with the fewest."""
    right = store.categories("train")[positions] == store.categories("test")[:, np.newaxis]
    hits, rng = right.sum(axis=1), np.random.default_rng(seed)
    pools = [np.flatnonzero(hits == count) for count in dict.fromkeys([hits.max(), hits.min()])]
    return np.concatenate([rng.choice(pool, min(QUERIES, len(pool)), replace=False) for pool in pools])


def _pictures(store: Store, root: Path, part: str, rows: np.ndarray) -> list[dict[str, Any]]:
    files, categories = np.array(store.files(part))[rows].tolist(), store.categories(part)[rows].tolist()
    return [
        {"file": file, "category": category, "image": data_uri(image)}
        for file, category, image in zip(files, categories, load_images(root, files, PICTURE), strict=True)
    ]
