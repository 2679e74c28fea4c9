"""The images nearest to any picture: one call in a notebook, or `make query IMAGE=photo.jpg`.

Distances are between features of unit length: with plain MobileNetV2 this finds better neighbours (notebook
04), and the other features have unit length anyway.
"""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from retrieval.artifacts.store import Store, open_store
from retrieval.errors import RetrievalError
from retrieval.search.retriever import MODEL, Retriever
from retrieval.settings import path_of, read_settings
from retrieval.views import grids

# The models that notebooks keep, best first on the photographs of mammals; the first that can be used is the
# default.
MODELS = ("interpolated_mobilenetv2", "siamese_mobilenetv2", "mobilenetv2", "custom")
K = 10


def open_retriever(store: Store, root: Path, model: str = "") -> Retriever:
    """A model that a notebook has kept, with its gallery.

    Args:
        store: of the artifacts.
        root: folder of the data set.
        model: one of MODELS; "" for the first of them that can be used.

    Raises:
        RetrievalError: the model is unknown, missing or stale, or its gallery cannot be used.
    """
    if model and model not in MODELS:
        raise RetrievalError(f"MODEL={model} is unknown: use one of {', '.join(MODELS)}")
    model = model or next((name for name in MODELS if _can_be_used(store, name)), "mobilenetv2")
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


def show(image: Path | str, *, k: int = K, model: str = "", after_lda: bool | None = None) -> Figure:
    """Prints the k images nearest to a picture, and draws them.

    Arguments are as in `file_of`, `open_retriever` and `Retriever.search`.

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
    answer = retriever.search(path, k, after_lda=after_lda)
    print(answer)
    if answer.after_lda and after_lda is None:
        print(
            "Distances are after LDA: the gallery has only categories that it was fitted to (else LDA=off)."
        )
    if len(answer.files) < k:
        print(f"There are only {len(answer.files)} images, not {k}.")
    return grids.query_grid(settings.data, [str(path)], [answer.files], answer.distances[np.newaxis])


def _can_be_used(store: Store, model: str) -> bool:
    with suppress(RetrievalError):
        return bool(store.check(f"models/{model}/{MODEL}"))
    return False
