"""Categories that the encoder has never seen: does fine-tuning help beyond those it was trained on?

Every draw holds out another fifth of the categories. The encoder is trained with proxies on the others; only
photographs of the held-out categories are then in the gallery (train part) and among the queries (test part).
Deep metric learning measures generalisation like this, with half of the categories held out (Oh Song et al.,
"Deep Metric Learning via Lifted Structured Feature Embedding", CVPR 2016). All encoders see the same pixels:
only their weights differ.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.artifacts.store import Store
from retrieval.data.images import load_images
from retrieval.data.splitting import PARTS
from retrieval.encoders import conversion, training
from retrieval.encoders.mobilenetv2 import mobilenetv2
from retrieval.encoders.proxies import category_means, normalised_softmax, with_proxies
from retrieval.encoders.siamese import interpolate_weights, set_batch_normalisation
from retrieval.encoders.tensorflow_quiet import keras
from retrieval.encoders.weights import find_weights
from retrieval.evaluation.intervals import query_table
from retrieval.evaluation.metrics import evaluate
from retrieval.features.extraction import SIZE, extract, to_embedding
from retrieval.search.neighbours import rank_blocks
from retrieval.settings import Settings

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
    """The names of a fifth of the categories, at least two, sorted; five draws have none in common.

    >>> hold_out(np.array(list("abcdefghij")), draw=0).tolist()
    ['e', 'g']
    """
    names = np.random.default_rng(0).permutation(np.unique(categories))
    count = max(2, len(names) // 5)
    return np.sort(np.roll(names, -draw * count)[:count])


def measure(store: Store, settings: Settings, draw: int) -> pd.DataFrame:
    """The `comparison.query_table` of every encoder on held-out categories, by the column `encoder`.

    The encoders are "plain" MobileNetV2, "fine-tuned" with proxies, and "interpolated" between the weights of
    these two. Trains one, unless the table is still valid.
    """
    return store.make(
        f"unseen_{draw}.csv",
        by=lambda folder: _train_and_measure(store, settings, draw, folder),
        needs=[
            *(f"{part}_index_file.json" for part in PARTS),
            *("test_index_group.json", "images.json", "weights.json", "mobilenetv2_train.npy"),
        ],
        settings={"seed": settings.seed, "epochs": settings.epochs, "recipe": asdict(RECIPE), "loss": LOSS},
    )


def _train_and_measure(store: Store, settings: Settings, draw: int, folder: Path) -> pd.DataFrame:
    held_out = hold_out(store.categories("train"), draw=draw)
    unseen = {part: np.isin(store.categories(part), held_out) for part in PARTS}
    weights = find_weights(settings.weights, expected=store.load("weights.json")["sha256"])
    plain = mobilenetv2(weights)
    tuned = _train(store, settings, mobilenetv2(weights), unseen, folder / "training")
    encoders = {"plain": plain, "fine-tuned": tuned, "interpolated": interpolate_weights(plain, tuned)}
    tables = {
        name: _score(store, settings, encoder, unseen, folder / name) for name, encoder in encoders.items()
    }
    return pd.concat(tables, names=["encoder"]).reset_index(level=0)


def _train(
    store: Store, settings: Settings, backbone: keras.Model, unseen: dict[str, np.ndarray], folder: Path
) -> keras.Model:
    photographs = []
    for part in ("train", "val"):
        files = np.array(store.files(part))[~unseen[part]].tolist()
        images = load_images(settings.data, files, RECIPE.size)
        photographs.append((images, store.categories(part)[~unseen[part]]))
    vectors = store.features("mobilenetv2", "train")[~unseen["train"]]
    model, _ = training.train(
        with_proxies(set_batch_normalisation(backbone, None), category_means(vectors, photographs[0][1])),
        *photographs,
        replace(RECIPE, epochs=settings.epochs or RECIPE.epochs),
        loss=partial(normalised_softmax, **LOSS),
        seed=settings.seed,
        folder=folder,
    )
    return model.layers[0]


def _score(
    store: Store, settings: Settings, encoder: keras.Model, unseen: dict[str, np.ndarray], folder: Path
) -> pd.DataFrame:
    """The `intervals.query_table` of the held-out test images; the held-out train images are the gallery."""
    files, vectors = {}, {}
    describe = to_embedding(conversion.convert(encoder), sizes=[SIZE])
    for part in ("train", "test"):
        files[part] = np.array(store.files(part))[unseen[part]].tolist()
        vectors[part] = extract(describe, settings.data, files[part], unfinished=folder / part)
    gallery, queries = (store.categories(part)[unseen[part]] for part in ("train", "test"))
    scores = evaluate(rank_blocks(vectors["train"], vectors["test"]), gallery, queries)
    return query_table(scores, files["test"], store.groups("test")[unseen["test"]])
