"""The images nearest to any picture: one call in a notebook, or `make query IMAGE=photo.jpg`.

Distances are between features of unit length: with plain MobileNetV2 this finds better neighbours (notebook
04), and the other features have unit length anyway.
"""

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from retrieval.artifacts.store import Store, open_store
from retrieval.errors import RetrievalError
from retrieval.search.retriever import MODEL, Retriever
from retrieval.settings import path_of, read_settings
from retrieval.views import grids

# The models that notebooks keep, best first by precision@3 on the photographs of mammals; the first that is
# there is the default.
MODELS = ("siamese_mobilenetv2", "mobilenetv2")
K = 10


def open_retriever(store: Store, root: Path, model: str = "") -> Retriever:
    """A model that a notebook has kept, with its gallery.

    Args:
        store: of the artifacts.
        root: folder of the data set.
        model: one of MODELS; "" for the first of them that is there.

    Raises:
        RetrievalError: the model is unknown, missing or stale, or its gallery cannot be used.
    """
    if model and model not in MODELS:
        raise RetrievalError(f"MODEL={model} is unknown: use one of {', '.join(MODELS)}")
    there = (name for name in MODELS if f"models/{name}/{MODEL}" in store.manifest())
    model = model or next(there, MODELS[-1])
    store.check(f"models/{model}/{MODEL}")
    return Retriever.load(store.folder / "models" / model, root=root)


def file_of(image: Path | str) -> Path:
    """The file of a picture; a relative path starts from the project's folder.

    Raises:
        RetrievalError: it is no file.
    """
    path = path_of(str(image))
    # If the name is too long, Path.is_file raises an error, and this says no.
    if not os.path.isfile(path):  # noqa: PTH113
        raise RetrievalError(f"{path} is no file: name a picture, as in make query IMAGE=photo.jpg")
    return path


def show(image: Path | str, *, k: int = K, model: str = "") -> Figure:
    """Prints the k images nearest to a picture, and draws them; arguments as in `file_of`, `open_retriever`.

    Raises:
        RetrievalError: the picture or the data folder is not there, the picture cannot be read, or the model
            cannot be used.
    """
    settings, path = read_settings(), file_of(image)
    retriever = open_retriever(open_store(settings), settings.data, model)
    if not settings.data.is_dir():
        raise RetrievalError(
            f"{settings.data} is not a folder: say where it is now, as in make query DATA=folder"
        )
    answer = retriever.search(path, k)
    print(answer)
    if len(answer.files) < k:
        print(f"There are only {len(answer.files)} images, not {k}.")
    return grids.query_grid(settings.data, [str(path)], [answer.files], answer.distances[np.newaxis])
