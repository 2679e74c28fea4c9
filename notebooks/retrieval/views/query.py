"""The images nearest to any picture: one call in a notebook, or `make query IMAGE=photo.jpg`.

The gallery is all images, whichever part they are in. Distances are between features of unit length: with
plain MobileNetV2 this finds better neighbours (notebook 04), and the other features have unit length anyway.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
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
# What an encoder alone gives, best first by precision@3 on the photographs of mammals; the first that is
# there is the default. All other features are fitted to a whole part.
FEATURES = ("proxy_mobilenetv2", "siamese_mobilenetv2", "imagenet_mobilenetv2", PLAIN, "siamese_cnn")
K = 10
SAME = 1e-6  # a smaller distance is a rounding error


@dataclass(frozen=True)
class Answer:
    """The images nearest to a picture.

    Attributes:
        features: the kind of features that was searched.
        files: relative to the data folder, `[k]`, nearest first.
        distances: at unit length, float64 `[k]`, in [0, 2].
        limit: as `open_set.limit`: beyond this distance the nearest image is not similar.
    """

    features: str
    files: list[str]
    distances: np.ndarray
    limit: float

    def __str__(self) -> str:
        """A table of the images, and a line that says whether the gallery has similar images."""
        rows = enumerate(zip(self.distances, self.files, strict=True), 1)
        table = [f"{rank:>4}  {distance:>8.3f}  {shown(file)}" for rank, (distance, file) in rows]
        if self.distances[0] < SAME:
            verdict = f"This picture is in the gallery, or a copy of it is (features: {self.features})."
        else:
            has = "nothing similar" if self.distances[0] > self.limit else "similar images"
            numbers = f"distance {self.distances[0]:.3f}, limit {self.limit:.3f}; features: {self.features}"
            verdict = f"The gallery has {has} ({numbers})."
        return "\n".join(["rank  distance  file", *table, verdict])


def find(
    store: Store, image: Path, *, k: int = K, features: str = "", parts: Sequence[str] = PARTS
) -> Answer:
    """The k images nearest to a picture.

    Args:
        image: any picture.
        k: how many; all images if there are fewer.
        features: one of FEATURES; "" for the first of them that can be used.
        parts: the gallery; ("train",) as in the notebooks.

    Raises:
        RetrievalError: the picture is not there or cannot be read; the features are unknown, missing, or
            cannot be computed for a single image.
    """
    # If the name is too long, Path.is_file raises an error, and this says no.
    if not os.path.isfile(image):  # noqa: PTH113
        raise RetrievalError(f"{image} is no file: name a picture, as in make query IMAGE=photo.jpg")
    features = _usable(store, features)
    query = encoder(store, features)(image)
    gallery = [store.part(features, part) for part in parts]
    index = l2_normalise(np.concatenate([part.features for part in gallery]))
    files = np.concatenate([part.files for part in gallery])
    distances, positions = nearest(index, l2_normalise(query[np.newaxis]), k, method="exact")
    limit = open_set.limit(store.load(f"{features}_open_set.npy"))
    return Answer(features, files[positions[0]].tolist(), distances[0], limit)


def show(image: Path | str, *, k: int = K, features: str = "") -> Figure:
    """Prints the images nearest to a picture, and draws them; all as `find`.

    A relative path starts from the project's folder.
    """
    settings, path = read_settings(), path_of(str(image))
    answer = find(open_store(settings), path, k=k, features=features)
    if not settings.data.is_dir():
        raise RetrievalError(
            f"{settings.data} is not a folder: say where it is now, as in make query DATA=folder"
        )
    print(answer)
    if len(answer.files) < k:
        print(f"There are only {len(answer.files)} images, not {k}.")
    return grids.query_grid(settings.data, [str(path)], [answer.files], answer.distances[np.newaxis])


def encoder(store: Store, features: str) -> Describe:
    """A function that computes one of FEATURES of an image file, float32 `[dim]`.

    For an image of the data set, this is its row of `<features>_<part>.npy`.

    Raises:
        RetrievalError: the encoder or the features of the train part cannot be used.
    """
    if features == PLAIN:
        return to_features(store.load("mobilenetv2.tflite"))
    record = store.check(f"{features}_train.npy")
    model = next(name for name in record["inputs"] if name.endswith(".tflite"))
    return to_embedding(store.load(model), sizes=record["settings"]["sizes"])


def _usable(store: Store, features: str) -> str:
    if not features:
        return next((name for name in FEATURES if _is_there(store, name)), PLAIN)
    if features not in FEATURES:
        known = f"{features}_train.npy" in store.manifest()
        problem = "cannot be computed for a single image" if known else "are unknown"
        raise RetrievalError(f"the features {features} {problem}: use one of {', '.join(FEATURES)}")
    return features


def _is_there(store: Store, features: str) -> bool:
    with suppress(RetrievalError):
        return bool(store.check(f"{features}_open_set.npy"))
    return False
