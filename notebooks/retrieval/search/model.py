"""A saved model: one file with all that turns a picture into the vector that is searched."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from retrieval.features.extraction import Describe, to_embedding
from retrieval.features.lda import Lda
from retrieval.search import open_set

OPTIONS = ("sizes", "mirrored", "resample", "pixels")  # of `extraction.to_embedding`


@dataclass(frozen=True)
class Model:
    """An encoder, how distances are measured, and from which distance on the gallery has nothing similar.

    Attributes:
        encoder: content of a `.tflite` file.
        usual: as `open_set.calibrate`, of the encoder's features.
        lda: as `lda.fit`, or None if the model has none.
        usual_lda: as `usual`, after LDA; empty without it.
        about: name (of the features), the options of `extraction.to_embedding`, and the SHA-256 of the
            encoder and of the data set.
    """

    encoder: bytes = field(repr=False)
    usual: np.ndarray = field(repr=False)
    lda: Lda | None = field(repr=False)
    usual_lda: np.ndarray = field(repr=False)
    about: Mapping[str, Any]

    @cached_property
    def encode(self) -> Describe:
        """As `extraction.to_embedding`: from an image to its unit features, float32 `[dim]`."""
        options = {name: self.about[name] for name in OPTIONS}
        return to_embedding(self.encoder, **options)

    def limit(self, *, after_lda: bool) -> float:
        """As `open_set.limit`."""
        return open_set.limit(self.usual_lda if after_lda else self.usual)


def to_arrays(model: Model) -> dict[str, np.ndarray]:
    """A model as the arrays of an `.npz` file."""
    mean, directions = model.lda or (np.empty(0, np.float32), np.empty((0, 0), np.float32))
    return {
        "encoder": np.frombuffer(model.encoder, np.uint8),
        **{"usual": model.usual, "usual_lda": model.usual_lda, "mean": mean, "directions": directions},
        "about": text_array(model.about),
    }


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Model:
    """The model that `to_arrays` was given; a KeyError or ValueError if they are of something else."""
    mean, directions, about = arrays["mean"], arrays["directions"], text_of(arrays["about"])
    if missing := set(OPTIONS) - about.keys():
        raise KeyError(*missing)
    return Model(
        encoder=arrays["encoder"].tobytes(),
        usual=arrays["usual"],
        lda=(mean, directions) if len(mean) else None,
        usual_lda=arrays["usual_lda"],
        about=about,
    )


def text_array(value: Any) -> np.ndarray:
    """JSON types as an array of bytes."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def text_of(array: np.ndarray) -> Any:
    """The JSON types that `text_array` was given."""
    return json.loads(array.tobytes())
