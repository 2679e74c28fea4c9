"""Categories that nothing has seen: do fine-tuning and LDA help beyond those that they were fitted to?

Every draw holds out another fifth of the categories. The encoder is trained with proxies on the others; only
photographs of the held-out categories are then in the gallery (train part) and among the queries (test part).
Deep metric learning measures generalisation like this, with half of the categories held out (Oh Song et al.,
"Deep Metric Learning via Lifted Structured Feature Embedding", CVPR 2016). All encoders see the same pixels:
only their weights differ. LDA, PCA and logistic regression are fitted to the other categories, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.artifacts.store import Store
from retrieval.data.images import load_images
from retrieval.data.parts import PARTS, Part
from retrieval.encoders import conversion, training
from retrieval.encoders.mobilenetv2 import mobilenetv2
from retrieval.encoders.proxies import category_means, normalised_softmax, with_proxies, without_proxies
from retrieval.encoders.siamese import interpolate_weights, set_batch_normalisation
from retrieval.encoders.tensorflow_quiet import keras
from retrieval.encoders.weights import find_weights
from retrieval.errors import RetrievalError
from retrieval.evaluation.intervals import ablation, agreed
from retrieval.evaluation.scoring import query_table, score
from retrieval.features.extraction import SIZE, Describe, extract, to_embedding
from retrieval.settings import Settings
from retrieval.studies.stronger_encoder import (
    CS,
    DIMENSIONS,
    SHRINKAGES,
    Parts,
    choose,
    with_lda,
    with_logistic_regression,
    with_pca,
)

DRAWS = range(3)
RECIPE = training.Recipe(
    size=192,
    crop=160,
    least_area=0.35,
    batch=64,
    of_each=None,
    learning_rate=1e-4,
    epochs=4,
    patience=4,
)
SHARES = (0.5, 0.7)  # of the fine-tuned weights
LOSS = {"scale": 16.0, "smoothing": 0.1}
# What is fitted to the features of which encoder.
FITTED = {"plain": ("PCA", "logistic", "LDA"), "fine-tuned": ("LDA",), "interpolated 0.7": ("LDA",)}


def hold_out(categories: np.ndarray, *, draw: int) -> np.ndarray:
    """The names of a fifth of the categories, at least two, sorted; five draws have none in common.

    Raises:
        RetrievalError: fewer than two are left to train on.

    >>> hold_out(np.array(list("abcdefghij")), draw=0).tolist()
    ['e', 'g']
    """
    names = np.random.default_rng(0).permutation(np.unique(categories))
    count = max(2, len(names) // 5)
    if len(names) < count + 2:
        raise RetrievalError(f"{len(names)} categories are too few to train on two and hold out two others")
    return np.sort(np.roll(names, -draw * count)[:count])


def measure(store: Store, settings: Settings, draw: int) -> pd.DataFrame:
    """The `scoring.query_table` of every encoder on held-out categories, by the column `encoder`.

    The encoders are "plain" MobileNetV2, "fine-tuned" with proxies, and "interpolated" between the weights of
    these two, with each of SHARES. "plain, LDA" is the same after LDA that is fitted to the other categories;
    `FITTED` lists these. "logistic" describes images by the probabilities of the other categories. One
    encoder is trained, unless the table is still valid.
    """
    return store.make(
        f"unseen_{draw}.csv",
        by=lambda folder: _train_and_measure(store, settings, draw, folder),
        needs=[
            *(f"{part}_index_file.json" for part in PARTS),
            *("test_index_group.json", "images.json", "weights.json"),
            *(f"mobilenetv2_{part}.npy" for part in PARTS),
        ],
        settings=_made_with(settings),
    )


def summary(store: Store, settings: Settings) -> pd.DataFrame:
    """The `intervals.ablation` of every draw that `measure` has made with these settings; empty if none.

    Returns:
        A row for each draw and encoder; all others are compared with "plain". The last draw, "mean", is what
        `intervals.agreed` says of them.

    Raises:
        RetrievalError: a table is damaged or stale.
    """
    rows = {}
    for draw in DRAWS:
        made = store.manifest().get(name := f"unseen_{draw}.csv")
        if made and made["settings"] == _made_with(settings):
            groups = store.load(name).groupby("encoder", sort=False)
            tables = {encoder: table.reset_index(drop=True) for encoder, table in groups}
            against = dict.fromkeys(tables.keys() - {"plain"}, "plain")
            rows[draw] = ablation(tables, against, seed=settings.seed)
    if not rows:
        return pd.DataFrame()
    return pd.concat(rows | {"mean": agreed([*rows.values()])}, names=["draw"])


def _made_with(settings: Settings) -> dict[str, Any]:
    made = {"seed": settings.seed, "epochs": settings.epochs, "recipe": asdict(RECIPE), "loss": LOSS}
    choices = {"shrinkages": SHRINKAGES, "dimensions": DIMENSIONS, "cs": CS, "shares": SHARES}
    return made | {name: [*values] for name, values in choices.items()}


def _train_and_measure(store: Store, settings: Settings, draw: int, folder: Path) -> pd.DataFrame:
    parts = {part: store.part("mobilenetv2", part) for part in PARTS}
    held_out = hold_out(parts["train"].categories, draw=draw)
    unseen = {name: np.isin(part.categories, held_out) for name, part in parts.items()}
    seen = {name: part.take(~unseen[name]) for name, part in parts.items()}
    weights = find_weights(settings.weights, expected=store.load("weights.json")["sha256"])
    plain = mobilenetv2(weights)
    tuned = _train(settings, mobilenetv2(weights), seen, folder / "training")
    encoders = {"plain": plain, "fine-tuned": tuned}
    for share in SHARES:
        encoders[f"interpolated {share}"] = interpolate_weights([plain, tuned], [1 - share, share])
    searched = {"gallery": parts["train"].take(unseen["train"]), "test": parts["test"].take(unseen["test"])}
    tables = {}
    for name, encoder in encoders.items():
        images = searched | ({part: seen[part] for part in ("train", "val")} if name in FITTED else {})
        describe = to_embedding(conversion.convert(encoder), sizes=[SIZE])
        embedded = {
            part: _embedded(describe, settings.data, each, folder / name / part)
            for part, each in images.items()
        }
        for space, each in ({name: embedded} | _fitted(name, embedded)).items():
            tables[space] = query_table(score(each["gallery"], each["test"]), each["test"])
    return pd.concat(tables, names=["encoder"]).reset_index(level=0)


def _fitted(encoder: str, parts: Parts) -> dict[str, Parts]:
    """The parts after what is fitted to the train part, by the names of the rows; its val part chooses."""
    change: dict[str, tuple[Callable[[Parts, Any], Parts], Sequence[Any]]] = {
        "PCA": (with_pca, DIMENSIONS),
        "logistic": (with_logistic_regression, CS),
        "LDA": (with_lda, SHRINKAGES),
    }
    return {f"{encoder}, {each}": choose(parts, *change[each])[1] for each in FITTED.get(encoder, ())}


def _train(settings: Settings, backbone: keras.Model, seen: dict[str, Part], folder: Path) -> keras.Model:
    decode = partial(load_images, settings.data, size=RECIPE.size, folder=settings.artifacts)
    train, val = ((decode(seen[part].files.tolist()), seen[part].categories) for part in ("train", "val"))
    means = category_means(seen["train"].features, seen["train"].categories)
    model, _ = training.train(
        with_proxies(set_batch_normalisation(backbone, None), means),
        train,
        val,
        replace(RECIPE, epochs=settings.epochs or RECIPE.epochs),
        loss=partial(normalised_softmax, **LOSS),
        seed=settings.seed,
        folder=folder,
    )
    return without_proxies(model)[0]


def _embedded(describe: Describe, root: Path, images: Part, unfinished: Path) -> Part:
    return images.with_features(extract(describe, root, images.files.tolist(), unfinished=unfinished))
