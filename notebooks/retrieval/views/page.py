"""The report to send, one HTML file that needs no other.

Jinja fills it into `page.html` and escapes every name: a folder may be called <script>.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from PIL import Image

from retrieval.artifacts.store import Store
from retrieval.data.images import encoded, load_images
from retrieval.evaluation import metrics, results
from retrieval.evaluation.intervals import confusion_shares
from retrieval.search.neighbours import nearest
from retrieval.views import feature_map

REFERENCE = "mobilenetv2"  # the best method is shown beside this one
NEIGHBOURS = 5  # shown for a query
QUERIES = 2  # shown of those with most right neighbours, and of those with fewest
PICTURE = 112  # pixels a side
MOST_POINTS = 3000  # on the map: t-SNE of so many images takes half a minute

Results = Mapping[str, results.Result]  # by `<features>`, at least one
# Distances and positions by `<features>`, as `nearest` returns them.
Found = Mapping[str, tuple[np.ndarray, np.ndarray]]


def render(methods: Results, problems: Sequence[str] = (), closeup: Mapping[str, Any] | None = None) -> str:
    """The page as HTML.

    Args:
        methods: the results of every method.
        problems: lines about what is missing.
        closeup: as `look_closely`; without it, the page has the figures of whole methods only.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(Path(__file__).with_name("page.html").read_text("utf-8"))
    reported = results.load_reported()
    table = results.rounded(results.summary(methods, reported))
    return template.render(
        caption=results.caption(methods),
        measures={measure: table[measure].to_dict("index") for measure in (results.ACCURACY, results.ANMRR)},
        comparable=results.is_comparable(methods),
        source=reported["source"],
        results={results.title(name): methods[name] for name in results.ordered(methods)},
        k=results.K,
        remarks=results.remarks(methods),
        problems=problems,
        closeup=closeup,
    )


def look_closely(store: Store, root: Path, methods: Results, *, seed: int) -> dict[str, Any]:
    """What `page.html` shows of the best method: its confusions, some queries, a map of its features.

    Args:
        store: holds the features of the best method and of MobileNetV2.
        root: folder of the data set.
        methods: the results of every method.
        seed: of what is drawn at random.

    Raises:
        RetrievalError: features or images are missing, damaged or stale.
    """
    best, tied = _best(methods)
    found = {
        name: nearest(store.features(name, "train"), store.features(name, "test"), NEIGHBOURS, method="exact")
        for name in dict.fromkeys([best, REFERENCE])
        if name in methods
    }
    categories, files = store.categories("test"), np.array(store.files("test"))
    counts = metrics.confusion(categories, store.categories("train")[found[best][1][:, : results.K]])
    worst = [row["category"] for row in methods[best]["worst_categories"]]
    points, rows = _layout(store.features(best, "test"), seed=seed)
    return {
        "method": results.title(best),
        "tied": [results.title(name) for name in tied],
        "confusion": confusion_shares(counts, worst),
        "queries": _queries(store, root, found, seed=seed),
        "images": len(files),
        "mapped": len(rows),
        "map": _map(points, root, files[rows].tolist(), title=results.title(best)),
        "categories": feature_map.in_words(counts, points, categories[rows]),
    }


def _best(methods: Results) -> tuple[str, list[str]]:
    """The method with the highest precision@3 and all others with the same; of these, the highest mAP."""
    order = results.ordered(methods)
    # Means of the same values in another order may differ in their last bits.
    scores = {name: (round(methods[name]["accuracy"], 9), round(methods[name]["map"], 9)) for name in order}
    best = max(order, key=lambda name: scores[name])
    return best, [name for name in order if scores[name][0] == scores[best][0] and name != best]


def _layout(features: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points `[m, 2]` of all images, or of `MOST_POINTS` drawn at random, and their rows, `[m]`."""
    rows = np.arange(len(features))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_POINTS, replace=False))
    return feature_map.tsne(features[rows], seed=seed), rows


def _map(points: np.ndarray, root: Path, files: Sequence[str], *, title: str) -> str:
    """The map of the features as a picture, a data URI."""
    # Nothing else on the page needs matplotlib.
    from retrieval.views import plots

    content = BytesIO()
    figure = plots.feature_map(points, root, files, title=title)
    figure.savefig(content, format="png", dpi=120, bbox_inches="tight")
    return _data_uri(content.getvalue(), "png")


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
    """Rows of queries with most right neighbours, then of queries with fewest."""
    right = store.categories("train")[positions] == store.categories("test")[:, np.newaxis]
    hits, rng = right.sum(axis=1), np.random.default_rng(seed)
    pools = [np.flatnonzero(hits == count) for count in dict.fromkeys([hits.max(), hits.min()])]
    return np.concatenate([rng.choice(pool, min(QUERIES, len(pool)), replace=False) for pool in pools])


def _pictures(store: Store, root: Path, part: str, rows: np.ndarray) -> list[dict[str, Any]]:
    files, categories = np.array(store.files(part))[rows].tolist(), store.categories(part)[rows].tolist()
    contents = [
        encoded(Image.fromarray(image), "JPEG", quality=80) for image in load_images(root, files, PICTURE)
    ]
    return [
        {"file": file, "category": category, "image": _data_uri(content, "jpeg")}
        for file, category, content in zip(files, categories, contents, strict=True)
    ]


def _data_uri(content: bytes, kind: str) -> str:
    """The content of an image file as a text, for `src` of HTML's <img>."""
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
