"""What notebooks keep of an encoder for queries: a model, and the gallery of all three parts."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from retrieval.artifacts.store import Store
from retrieval.errors import RetrievalError
from retrieval.features import lda
from retrieval.features.normalising import l2_normalise
from retrieval.search import open_set
from retrieval.search.model import Model, from_arrays, text_of, to_arrays
from retrieval.search.retriever import GALLERY, MODEL, Retriever, is_added, read_file
from retrieval.settings import RANGES


def keep(store: Store, root: Path, features: str, **made_of: Any) -> Retriever:
    """The retriever of one kind of features, kept in `models/<features>`; its gallery is all three parts.

    A gallery that belongs to this very model stays as it is. A new one takes over what was added to the
    gallery before it, or else to the one that was changed last, and what was removed from that.

    Args:
        store: has the features of all parts, and their open-set distances.
        root: folder of the data set.
        features: what they are called.
        made_of: encoder, the `.tflite` artifact; the options of `extraction.to_embedding`; shrinkage, as
            `lda.fit`, if the model shall have LDA.

    Raises:
        RetrievalError: as `Store.make`.
    """
    model = _keep_model(store, features, **made_of)
    folder = store.folder / "models" / features
    with suppress(RetrievalError):
        return Retriever.load(folder, root=root)
    added, removed = _changes(folder, root)
    parts = [part.take(~np.isin(part.files, removed)) for part in store.parts(features).values()]
    files = np.concatenate([part.files for part in parts]).tolist()
    rows = l2_normalise(np.concatenate([part.features for part in parts]))
    retriever = Retriever(folder, model, root, files, rows, removed)
    again = retriever.extend(added)
    if added:
        print(f"to the gallery again: {again}")
    if removed:
        print(f"kept out of the gallery again: {len(removed)} images")
    return retriever


def _changes(folder: Path, root: Path) -> tuple[list[str], list[str]]:
    """The files added to and removed from a gallery, or from that beside it which was changed last.

    What was removed are files of one data set, so it counts only if `root` still is its folder.
    """
    others = folder.parent.glob(f"*/{GALLERY}")
    last = sorted(others, key=lambda path: (path.parent == folder, path.stat().st_mtime_ns))[-1:]
    for path in last:
        with suppress(RetrievalError, KeyError, ValueError):
            about = text_of(read_file(path)["about"])
            return [*filter(is_added, about["files"])], about["removed"] if about["root"] == str(root) else []
    return [], []


def _keep_model(
    store: Store,
    features: str,
    *,
    encoder: str,
    sizes: Sequence[int],
    mirrored: bool = False,
    resample: int = Image.Resampling.BILINEAR,
    pixels: str = RANGES[0],
    shrinkage: float | None = None,
) -> Model:
    described = {"sizes": [*sizes], "mirrored": mirrored, "resample": int(resample), "pixels": pixels}

    def by(_: object) -> dict[str, np.ndarray]:
        about = {"name": features, **described}
        about |= {"encoder": store.check(encoder)["sha256"], "data": store.load("dataset.json")["sha256"]}
        usual, fitted, usual_lda = store.load(f"{features}_open_set.npy")[:, 0], None, np.empty(0, np.float32)
        if shrinkage is not None:
            train, val = (store.part(features, part) for part in ("train", "val"))
            fitted = lda.fit(train.features, train.categories, shrinkage=shrinkage)
            rows = (lda.transform(part.features, fitted) for part in (train, val))
            usual_lda = open_set.calibrate(*rows)
        return to_arrays(Model(store.load(encoder), usual, fitted, usual_lda, about))

    needs = [encoder, f"{features}_open_set.npy", "dataset.json"]
    needs += [f"{features}_{part}.npy" for part in ("train", "val") if shrinkage is not None]
    settings = {**described, "shrinkage": shrinkage}
    return from_arrays(store.make(f"models/{features}/{MODEL}", by=by, needs=needs, settings=settings))
