"""Short trainings of the Siamese MobileNetV2 that differ in one thing, to find out what matters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from retrieval.encoders.siamese import BATCH_NORMALISATION_MOMENTUM, embed, set_batch_normalisation
from retrieval.encoders.tensorflow_quiet import keras
from retrieval.encoders.training import Images, Recipe, train
from retrieval.encoders.triplets import hinge
from retrieval.evaluation.metrics import Scores, evaluate
from retrieval.search.neighbours import rank_blocks

SIZE, CROP = 128, 112  # small pictures, for many trials in little time
ENOUGH = 2000  # training images; with fewer an epoch is a handful of steps and shows nothing


@dataclass(frozen=True)
class Trial:
    """What a trial may change; as it stands, the Siamese MobileNetV2 of notebook 03, shortened.

    Attributes:
        mining: of `triplets.hinge`.
        margin: likewise.
        unit_length: whether embeddings are put on the unit sphere, in training and in use.
        learning_rate: the highest.
        momentum: of batch normalisation; None freezes it.
        epochs: over the train set.
    """

    mining: str = "violating"
    margin: float = 0.3
    unit_length: bool = True
    learning_rate: float = 2e-4
    momentum: float | None = BATCH_NORMALISATION_MOMENTUM
    epochs: int = 1


def run(
    trial: Trial, backbone: keras.Model, train_set: Images, val_set: Images, *, seed: int, folder: Path
) -> tuple[keras.Model, Scores]:
    """Trains a backbone as a trial says, and scores it.

    Args:
        trial: what is different.
        backbone: MobileNetV2 with its weights; it is changed in place.
        train_set: uint8 images `[n, SIZE, SIZE, 3]` and their categories `[n]`.
        val_set: the same of the validation part.
        seed: of the batches.
        folder: of the checkpoints.

    Returns:
        The encoder, and what the validation images as queries find among the train images.
    """
    encoder = set_batch_normalisation(backbone, trial.momentum)
    recipe = Recipe(
        size=SIZE,
        crop=CROP,
        least_area=0.4,
        categories=16,
        images=4,
        learning_rate=trial.learning_rate,
        epochs=trial.epochs,
        patience=trial.epochs,
    )
    loss = partial(hinge, margin=trial.margin, mining=trial.mining, unit_length=trial.unit_length)
    encoder, _ = train(encoder, train_set, val_set, recipe, loss=loss, seed=seed, folder=folder)
    return encoder, score(encoder, train_set, val_set, unit_length=trial.unit_length)


def score(encoder: keras.Model, train_set: Images, val_set: Images, *, unit_length: bool = True) -> Scores:
    """What the validation images as queries find among the train images.

    Args:
        encoder: images to embeddings.
        train_set: uint8 images `[n, size, size, 3]` and their categories `[n]`.
        val_set: the same of the validation part.
        unit_length: whether embeddings are put on the unit sphere.
    """
    index, queries = (embed(encoder, images, unit_length=unit_length) for images, _ in (train_set, val_set))
    return evaluate(rank_blocks(index, queries), train_set[1], val_set[1])
