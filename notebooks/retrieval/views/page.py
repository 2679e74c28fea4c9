"""The report to send, one HTML file that needs no other.

Jinja fills it into `page.html` and escapes every name: a folder may be called <script>.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined
from PIL import Image

from retrieval.artifacts.store import Store
from retrieval.data.images import encoded, load_image
from retrieval.data.parts import Part
from retrieval.evaluation import metrics, results
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
        measures={
            measure: {method: row[measure].to_dict() for method, row in table.iterrows()}
            for measure in (results.ACCURACY, results.ANMRR)
        },
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

    Its queries stand beside those of MobileNetV2, if `methods` has it. `root` is the folder of the data set.

    Raises:
        RetrievalError: features or images are missing, damaged or stale.
    """
    best, tied = _best(methods)
    shown = [name for name in dict.fromkeys([best, REFERENCE]) if name in methods]
    parts = {name: (store.part(name, "train"), store.part(name, "test")) for name in shown}
    found = {
        name: nearest(gallery.features, queries.features, NEIGHBOURS, method="exact")
        for name, (gallery, queries) in parts.items()
    }
    gallery, queries = parts[best]
    retrieved = gallery.categories[found[best][1]]
    counts = metrics.confusion(queries.categories, retrieved[:, : results.K])
    worst = [row["category"] for row in methods[best]["worst_categories"]]
    drawn, title = _draw(queries, retrieved, seed=seed), results.title(best)
    return {
        "method": title,
        "tied": [results.title(name) for name in tied],
        "confusion": metrics.confusion_shares(counts, worst),
        "queries": [_query(root, gallery, queries, row, found) for row in drawn],
        **_features(root, queries, counts, title=title, seed=seed),
    }


def _best(methods: Results) -> tuple[str, list[str]]:
    """The method with the highest P@3, and the others that share it.

    If several share it, the method with the highest mAP; if they share this too, the first.
    """
    order = results.ordered(methods)
    # Means of the same values in another order may differ in their last bits.
    scores = {name: (round(methods[name]["accuracy"], 9), round(methods[name]["map"], 9)) for name in order}
    best = max(order, key=lambda name: scores[name])
    return best, [name for name in order if scores[name][0] == scores[best][0] and name != best]


def _draw(queries: Part, retrieved: np.ndarray, *, seed: int) -> np.ndarray:
    """Rows of queries with most right neighbours, then with fewest; `retrieved` has categories `[n, k]`."""
    hits, rng = (retrieved == queries.categories[:, np.newaxis]).sum(axis=1), np.random.default_rng(seed)
    pools = [np.flatnonzero(hits == count) for count in dict.fromkeys([hits.max(), hits.min()])]
    return np.concatenate([rng.choice(pool, min(QUERIES, len(pool)), replace=False) for pool in pools])


def _query(root: Path, gallery: Part, queries: Part, row: int, found: Found) -> dict[str, Any]:
    """A query with its picture and what every method found for it."""
    neighbours = {
        results.title(name): [
            _picture(root, gallery, position) | {"distance": distance}
            for distance, position in zip(distances[row], positions[row], strict=True)
        ]
        for name, (distances, positions) in found.items()
    }
    return _picture(root, queries, row) | {"found": neighbours}


def _picture(root: Path, images: Part, row: int) -> dict[str, Any]:
    """File, category and picture of an image."""
    pixels = load_image(root / images.files[row], PICTURE, resample=Image.Resampling.BILINEAR)
    content = encoded(Image.fromarray(pixels), "JPEG", quality=80)
    return {
        "file": images.files[row],
        "category": images.categories[row],
        "image": _data_uri(content, "jpeg"),
    }


def _features(root: Path, queries: Part, counts: pd.DataFrame, *, title: str, seed: int) -> dict[str, Any]:
    """The map of the features as a picture, and in words; of `MOST_POINTS` images if there are more."""
    # Nothing else on the page needs matplotlib.
    from retrieval.views import plots

    rows = np.arange(len(queries))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_POINTS, replace=False))
    mapped, content = queries.take(rows), BytesIO()
    points = feature_map.tsne(mapped.features, seed=seed)
    figure = plots.feature_map(points, root, mapped.files.tolist(), title=title)
    figure.savefig(content, format="png", dpi=120, bbox_inches="tight")
    return {
        "images": len(queries),
        "mapped": len(mapped),
        "map": _data_uri(content.getvalue(), "png"),
        "categories": feature_map.in_words(counts, points, mapped.categories),
    }


def _data_uri(content: bytes, kind: str) -> str:
    """The content of an image file as a text, for `src` of HTML's <img>."""
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
