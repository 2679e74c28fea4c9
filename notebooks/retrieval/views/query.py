"""The images nearest to any picture: one call in a notebook, or `make query IMAGE=photo.jpg`.

All images are searched, whichever part they are in, at unit length: for plain MobileNetV2 that gives
better neighbours than distances at any length do (notebook 04), and the others have unit length anyway.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from retrieval.artifacts.store import Store, open_store
from retrieval.data.parts import PARTS
from retrieval.errors import RetrievalError, shown
from retrieval.features.extraction import Describe, to_embedding, to_features
from retrieval.features.normalising import l2_normalise
from retrieval.search import open_set
from retrieval.search.neighbours import nearest
from retrieval.settings import path_of, read_settings
from retrieval.views import grids

PLAIN = "mobilenetv2"
# Those that an encoder alone gives, best first by precision@3 on the photographs of mammals: the first
# that is there is the default. Others are fitted to features of a whole part.
FEATURES = ("proxy_mobilenetv2", "siamese_mobilenetv2", "imagenet_mobilenetv2", PLAIN, "siamese_cnn")
K = 10
SAME = 1e-6  # a distance that rounding makes of none


@dataclass(frozen=True)
class Answer:
    """What is nearest to a picture.

    Attributes:
        features: by which it was searched.
        files: relative to the data folder, `[k]`, nearest first.
        distances: at unit length, float64 `[k]`, in [0, 2].
        nearer: share, in [0, 1], of the validation images that are nearer to their nearest image.
        unlike: whether the picture is like nothing in the index, as `novelty.limit` has it.
    """

    features: str
    files: list[str]
    distances: np.ndarray
    nearer: float
    unlike: bool

    def __str__(self) -> str:
        """A table of the images, and a line that says whether the picture is like any of them."""
        rows = enumerate(zip(self.distances, self.files, strict=True), 1)
        table = [f"{rank:>4}  {distance:>8.3f}  {shown(file)}" for rank, (distance, file) in rows]
        if self.distances[0] < SAME:
            verdict = "in the index, or a copy of it is"
        else:
            likeness, side, share = (
                ("like nothing in the index", "farther from", self.nearer)
                if self.unlike
                else ("like images of the index", "nearer to", 1 - self.nearer)
            )
            verdict = f"{likeness}: {side} its nearest image than {share:.1%} of the validation images are"
        return "\n".join(["rank  distance  file", *table, f"This picture is {verdict} ({self.features})."])


def find(
    store: Store, image: Path, *, k: int = K, features: str = "", parts: Sequence[str] = PARTS
) -> Answer:
    """The k images nearest to a picture.

    Args:
        store: what the notebooks wrote.
        image: any picture.
        k: as many as there are images, if it is more.
        features: one of FEATURES; "" for the first of them that can be used.
        parts: which images are searched; ("train",) as in the notebooks.

    Raises:
        RetrievalError: the picture is not there or cannot be read, the features are unknown, not there, or
            no encoder alone gives them.
    """
    # Unlike a Path, this takes a name that is too long for no file.
    if not os.path.isfile(image):  # noqa: PTH113
        raise RetrievalError(f"{shown(image)} is no file: name a picture, as in make query IMAGE=photo.jpg")
    features = _usable(store, features)
    query = encoder(store, features)(image)
    index = l2_normalise(np.concatenate([store.features(features, part) for part in parts]))
    files = [file for part in parts for file in store.files(part)]
    found = nearest(index, l2_normalise(query[np.newaxis]), min(k, len(files)), method="exact")
    distances, positions = (values[0] for values in found)
    usual = store.load(f"{features}_novelty.npy")
    return Answer(
        features=features,
        files=[files[row] for row in positions],
        distances=distances,
        nearer=float((usual < distances[0]).mean()),
        unlike=bool(distances[0] > open_set.limit(usual)),
    )


def show(image: Path | str, *, k: int = K, features: str = "") -> Figure:
    """Prints the images nearest to a picture, and draws them.

    Args:
        image: a path; a relative one starts from the project's folder.
        k: how many.
        features: as for `find`.

    Raises:
        RetrievalError: as `find`.
    """
    settings, path = read_settings(), path_of(str(image))
    answer = find(open_store(settings), path, k=k, features=features)
    print(answer)
    if len(answer.files) < k:
        print(f"There are only {len(answer.files)} images, not {k}.")
    return grids.query_grid(settings.data, [str(path)], [answer.files], answer.distances[np.newaxis])


def encoder(store: Store, features: str) -> Describe:
    """From an image file to one of FEATURES, float32 `[dim]`: what the row of an indexed image holds.

    Raises:
        RetrievalError: the encoder or the features of the train part cannot be used.
    """
    if features == PLAIN:
        return to_features(store.load("mobilenetv2.tflite"))
    record = store.check(f"{features}_train.npy")
    model = next(name for name in record["inputs"] if name.endswith(".tflite"))
    return to_embedding(store.load(model), sizes=record["settings"]["sizes"])


def _usable(store: Store, features: str) -> str:
    if features and features not in FEATURES:
        known = f"{features}_train.npy" in store.manifest()
        problem = "cannot be computed of a new image" if known else "is unknown"
        raise RetrievalError(f"FEATURES={features} {problem}: use {', '.join(FEATURES)}")
    return features or next((name for name in FEATURES if _is_there(store, name)), PLAIN)


def _is_there(store: Store, features: str) -> bool:
    try:
        store.check(f"{features}_novelty.npy")
    except RetrievalError:
        return False
    return True
