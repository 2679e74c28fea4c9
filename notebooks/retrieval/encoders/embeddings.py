"""What is kept of an encoder: itself as converted, the features of all parts, its open-set distances."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.artifacts.store import Store
from retrieval.data.images import load_image
from retrieval.data.parts import PARTS, Part
from retrieval.encoders.conversion import convert
from retrieval.encoders.tensorflow_quiet import keras
from retrieval.features.extraction import SIZE, extract, to_embedding
from retrieval.search import open_set
from retrieval.settings import RANGES, Settings

CALIBRATED = 200  # images
# What `calibration` takes its images from, by precision.
CALIBRATION = {"float32": [], "int8": ["train_index_file.json", "images.json"]}


def keep_converted(
    store: Store,
    settings: Settings,
    name: str,
    encoder: keras.Model,
    *,
    needs: Sequence[str],
    size: int = SIZE,
    **made_with: Any,
) -> bytes:
    """The encoder as `conversion.convert` makes it in the precision of the settings, kept as `<name>.tflite`.

    Args:
        store: of the artifacts.
        settings: of the run.
        name: what the artifact is called.
        encoder: as `conversion.convert` takes it.
        needs: names of the artifacts that the encoder is made from.
        size: of the images that int8 is calibrated with, in pixels on a side.
        made_with: what else decides the encoder's weights; JSON types only.

    Raises:
        RetrievalError: as `Store.make` or `conversion.convert`.
    """
    return store.make(
        f"{name}.tflite",
        by=lambda _: convert(encoder, calibration=calibration(store, settings, size)),
        needs=[*needs, *CALIBRATION[settings.precision]],
        settings={"precision": settings.precision, **made_with},
    )


def calibration(store: Store, settings: Settings, size: int) -> list[np.ndarray]:
    """What `conversion.convert` takes for the precision of the settings: train images for int8, else none."""
    if not CALIBRATION[settings.precision]:
        return []
    files = np.random.default_rng(0).permutation(store.files("train"))[:CALIBRATED]
    return [load_image(settings.data / file, size) for file in files]


def embed_parts(
    store: Store,
    root: Path,
    features: str,
    *,
    model: str,
    sizes: Sequence[int],
    mirrored: bool = False,
    pixels: str = RANGES[0],
) -> dict[str, Part]:
    """The three parts with an encoder's unit embeddings, kept as `<features>_<part>.npy`; as `Store.parts`.

    Its open-set distances are kept, too. What is still valid is not computed again.

    Args:
        store: of the artifacts.
        root: folder of the data set.
        features: what the artifacts are called.
        model: the converted encoder, a `.tflite` artifact.
        sizes, mirrored, pixels: as `extraction.to_embedding`.

    Raises:
        RetrievalError: as `Store.make`, or an image cannot be read.
    """
    describe = to_embedding(store.load(model), sizes=sizes, mirrored=mirrored, pixels=pixels)
    settings = {"sizes": list(sizes), "mirrored": mirrored, "pixels": pixels}

    def by(unfinished: Path, part: str) -> np.ndarray:
        return extract(describe, root, store.files(part), unfinished=unfinished)

    for part in PARTS:
        store.make(
            f"{features}_{part}.npy",
            by=partial(by, part=part),
            needs=[model, f"{part}_index_file.json", "images.json"],
            settings=settings,
        )
    keep_open_set(store, features)
    return store.parts(features)


def keep_open_set(store: Store, features: str) -> np.ndarray:
    """`open_set.calibrate` of the validation part against train, kept as `<features>_open_set.npy`.

    Raises:
        RetrievalError: the features cannot be used, or writing failed.
    """

    def by(_: Path) -> np.ndarray:
        gallery, validation = (store.features(features, part) for part in ("train", "val"))
        return open_set.calibrate(gallery, validation)[:, np.newaxis]

    needs = [f"{features}_train.npy", f"{features}_val.npy"]
    return store.make(f"{features}_open_set.npy", by=by, needs=needs)[:, 0]
