"""Downloads the real set to `data/mammals`."""

import os
import shutil
from pathlib import Path

from retrieval.data.dataset import REAL_CATEGORIES, REAL_IMAGES, category_of, describe, find_images
from retrieval.errors import RetrievalError
from retrieval.files import sha256

SLUG = "asaniczka/mammals-image-classification-dataset-45-animals"


def download(target: Path) -> None:
    """Puts the real set at `target`, unless it is there already, and checks it.

    Raises:
        RetrievalError: kagglehub is missing, Kaggle cannot be reached, the disk is full, or the
            files are not, byte for byte, the 13,751 images of 45 categories.
    """
    if not target.exists():
        _copy(_category_root(_fetch()), target)
    files = find_images(target)
    found = len(set(map(category_of, files))), len(files)
    if found != (REAL_CATEGORIES, REAL_IMAGES):
        raise RetrievalError(
            f"{target} has {found[1]} images of {found[0]} categories, "
            f"not {REAL_IMAGES} of {REAL_CATEGORIES}: delete it and run `make data` again"
        )
    if not describe(target, {file: sha256(target / file) for file in files}).comparable:
        raise RetrievalError(
            f"{target} does not hold the files that the figures were measured on (its SHA-256 differs): "
            "delete it and run `make data` again, or use it as it is with `make DATA=data/mammals`"
        )


def _fetch() -> Path:
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(SLUG))
    except ImportError:
        raise RetrievalError(
            "kagglehub is not installed: run `pip install kagglehub`, then `make data`"
        ) from None
    except Exception as error:  # network, server and disk fail in many ways
        raise RetrievalError(
            f"{SLUG} could not be downloaded from Kaggle ({type(error).__name__}): check the network and "
            "run `make data` again, or `make DATA=folder` with a copy of your own"
        ) from None


def _category_root(folder: Path) -> Path:
    """The folder that contains the category folders: `folder` or one below it."""
    for parent, folders, _ in os.walk(folder):
        if len(folders) == REAL_CATEGORIES:
            return Path(parent)
    raise RetrievalError(
        f"{folder} holds no {REAL_CATEGORIES} category folders: delete it and run `make data` again"
    )


def _copy(source: Path, target: Path) -> None:
    """Copies under another name first, so an interrupted copy is never taken for the set."""
    unfinished = target.with_name(f".{target.name}-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        shutil.copytree(source, unfinished)
        unfinished.rename(target)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise RetrievalError(
            f"{target} could not be written ({error}): free some space, then `make data`"
        ) from None
