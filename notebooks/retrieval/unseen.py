"""Categories that the encoder has never seen: does fine-tuning help beyond those it was trained on?

`python -m retrieval.unseen`, or `make unseen`. In every draw a fifth of the categories are held out, the
encoder is trained with proxies on the others, and photographs of the held-out ones alone are indexed
(train part) and queried (test part): the protocol of deep metric learning (Oh Song et al., "Deep Metric
Learning via Lifted Structured Feature Embedding", CVPR 2016), with several draws in place of one.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval import features, training
from retrieval.artifacts import Store, open_store
from retrieval.comparison import compare, intervals, query_table
from retrieval.encoders import extract_embeddings, freeze_batch_normalisation
from retrieval.errors import RetrievalError
from retrieval.fusion import l2_normalise
from retrieval.metrics import evaluate
from retrieval.proxies import category_means, normalised_softmax, with_proxies
from retrieval.quietly import keras
from retrieval.search import rank_blocks
from retrieval.settings import Settings, read_settings

DRAWS = range(3)
RECIPE = training.Recipe(
    size=192,
    crop=160,
    least_area=0.35,
    categories=16,
    images=4,
    learning_rate=1e-4,
    epochs=4,
    patience=4,
)
LOSS = {"scale": 16.0, "smoothing": 0.1}


def hold_out(categories: np.ndarray, *, draw: int) -> np.ndarray:
    """The names of a fifth of the categories, at least two, drawn at random, sorted.

    >>> hold_out(np.array(list("abcdefghij")), draw=0).tolist()
    ['g', 'h']
    """
    names = np.unique(categories)
    return np.sort(np.random.default_rng(draw).choice(names, max(2, len(names) // 5), replace=False))


def measure(store: Store, settings: Settings, draw: int) -> pd.DataFrame:
    """The `comparison.query_table` of both encoders on held-out categories, in a column `encoder`.

    Trains an encoder, unless the table is still valid.
    """
    return store.make(
        f"unseen_{draw}.csv",
        by=lambda folder: _train_and_measure(store, settings, draw, folder),
        needs=[
            *(f"{part}_index_{kind}.json" for part in ("train", "val", "test") for kind in ("file", "group")),
            *("images.json", "weights.json", "mobilenetv2_train.npy", "mobilenetv2_test.npy"),
        ],
        settings={"epochs": settings.epochs, "recipe": asdict(RECIPE), "loss": LOSS},
    )


def _train_and_measure(store: Store, settings: Settings, draw: int, folder: Path) -> pd.DataFrame:
    held_out = hold_out(store.categories("train"), draw=draw)
    seen = {part: ~np.isin(store.categories(part), held_out) for part in ("train", "val", "test")}
    encoder = _train(store, settings, {part: seen[part] for part in ("train", "val")}, folder)
    files = {part: np.array(store.files(part))[~seen[part]].tolist() for part in ("train", "test")}
    plain = [l2_normalise(store.features("mobilenetv2", part)[~seen[part]]) for part in files]
    tuned = [
        extract_embeddings(
            encoder,
            settings.data,
            files[part],
            size=features.SIZE,
            unfinished=folder / f"{part}.features",
        )
        for part in files
    ]
    categories = [store.categories(part)[~seen[part]] for part in files]
    tables = {
        name: query_table(
            evaluate(rank_blocks(*vectors), *categories), files["test"], store.groups("test")[~seen["test"]]
        )
        for name, vectors in {"plain": plain, "fine-tuned": tuned}.items()
    }
    return pd.concat(tables, names=["encoder"]).reset_index(level=0)


def _train(store: Store, settings: Settings, seen: dict[str, np.ndarray], folder: Path) -> keras.Model:
    weights = features.find_weights(settings.weights, expected=store.load("weights.json")["sha256"])
    photographs = []
    for part, rows in seen.items():
        files = np.array(store.files(part))[rows].tolist()
        images = features.load_images(settings.data, files, RECIPE.size)
        photographs.append((images, store.categories(part)[rows]))
    vectors = store.features("mobilenetv2", "train")[seen["train"]]
    model, _ = training.train(
        with_proxies(
            freeze_batch_normalisation(features.mobilenetv2(weights)),
            category_means(vectors, photographs[0][1]),
        ),
        *photographs,
        replace(RECIPE, epochs=settings.epochs or RECIPE.epochs),
        loss=partial(normalised_softmax, **LOSS),
        seed=settings.seed,
        folder=folder / "training",
    )
    return model.layers[0]


def _main() -> None:
    settings = read_settings()
    store = open_store(settings)
    rows = {}
    for draw in DRAWS:
        print(f"draw {draw}: held out {', '.join(hold_out(store.categories('train'), draw=draw))}")
        table = measure(store, settings, draw)
        plain, tuned = (table[table.encoder == name].reset_index() for name in ("plain", "fine-tuned"))
        for name, each in {"plain": plain, "fine-tuned": tuned}.items():
            rows[draw, name] = intervals(each, seed=settings.seed).value.to_dict()
        difference = compare(tuned, plain, seed=settings.seed)
        rows[draw, "difference"] = {
            measure: f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}] {row.verdict}"
            for measure, row in difference.iterrows()
        }
    print(pd.DataFrame.from_dict(rows, orient="index").to_string(float_format="{:.4f}".format))
    print(f"\n{store.load('dataset.json')['name']}; {store.load('weights.json')['name']}; unit length")


if __name__ == "__main__":
    try:
        _main()
    except RetrievalError as error:
        sys.exit(str(error))
