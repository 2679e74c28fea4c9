"""Short trainings of the Siamese MobileNetV2 that differ in one thing, to find out what matters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd

from retrieval.artifacts.store import Store
from retrieval.data.parts import Part
from retrieval.encoders.siamese import BATCH_NORMALISATION_MOMENTUM, embed, set_batch_normalisation
from retrieval.encoders.tensorflow_quiet import keras
from retrieval.encoders.training import PHOTOGRAPHS, Images, Recipe, train
from retrieval.encoders.triplets import hinge
from retrieval.evaluation.intervals import ablation, agreed
from retrieval.evaluation.metrics import Scores, evaluate
from retrieval.evaluation.scoring import query_table
from retrieval.search.neighbours import rank_blocks

SIZE, CROP = 128, 112  # small images, for many trials in little time
ENOUGH = 2000  # training images; with fewer, an epoch is a handful of steps and shows nothing
SEEDS = (0, 1, 2)  # of the trainings, counted from the seed of the settings
PLAIN = "plain MobileNetV2"


@dataclass(frozen=True)
class Trial:
    """What a trial may change. Unchanged, it is the Siamese MobileNetV2 of notebook 03, shortened.

    Attributes:
        mining: of `triplets.hinge`.
        margin: of `triplets.hinge`.
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
    """An encoder trained as a trial says, and its scores as `score` gives them.

    Args:
        trial: what is different.
        backbone: MobileNetV2 with its weights; it is changed in place.
        train_set: uint8 images `[n, SIZE, SIZE, 3]` and their categories `[n]`.
        val_set: the same of the validation part.
        seed: of the batches.
        folder: of the checkpoints.
    """
    encoder = set_batch_normalisation(backbone, trial.momentum)
    recipe = Recipe(
        size=SIZE,
        crop=CROP,
        least_area=0.4,
        batch=64,
        of_each=4,
        learning_rate=trial.learning_rate,
        epochs=trial.epochs,
        patience=trial.epochs,
    )
    loss = partial(hinge, margin=trial.margin, mining=trial.mining, unit_length=trial.unit_length)
    encoder, _ = train(encoder, train_set, val_set, recipe, loss=loss, seed=seed, folder=folder)
    return encoder, score(encoder, train_set, val_set, unit_length=trial.unit_length)


def score(encoder: keras.Model, train_set: Images, val_set: Images, *, unit_length: bool = True) -> Scores:
    """Scores of an encoder with the validation images as queries and the train images as gallery.

    Args:
        encoder: images to embeddings.
        train_set: uint8 images `[n, size, size, 3]` and their categories `[n]`.
        val_set: the same of the validation part.
        unit_length: whether embeddings are put on the unit sphere.
    """
    gallery, queries = (embed(encoder, images, unit_length=unit_length) for images, _ in (train_set, val_set))
    return evaluate(rank_blocks(gallery, queries), train_set[1], val_set[1])


def measure(
    store: Store,
    trials: Mapping[str, Trial],
    queries: Part,
    *,
    backbone: Callable[[], keras.Model],
    photographs: Callable[[], tuple[Images, Images]],
) -> dict[str, list[pd.DataFrame]]:
    """The query tables of plain MobileNetV2 and of every trial, one for each of `SEEDS`, by name.

    They are kept as `short_training_plain.csv` and `short_training_<trial>_<seed>.csv`. With fewer than
    `ENOUGH` training images one line says that nothing is trained, and there are no tables.

    Args:
        store: of the artifacts.
        trials: by name.
        queries: the validation images that `photographs` gives, in the same order.
        backbone: makes MobileNetV2 with its weights.
        photographs: gives the images of train and val.
    """
    if (images := len(store.files("train"))) < ENOUGH:
        print(f"left out: an epoch of {images} images is too short to show anything ({ENOUGH} are needed)")
        return {}
    needs, seed = [*PHOTOGRAPHS, "weights.json"], store.settings["seed"]

    def trained(folder: Path, trial: Trial, number: int) -> pd.DataFrame:
        scores = run(trial, backbone(), *photographs(), seed=seed + number, folder=folder)[1]
        return query_table(scores, queries)

    plain = store.make(
        "short_training_plain.csv",
        by=lambda _: query_table(score(backbone(), *photographs()), queries),
        needs=needs,
        settings={"size": SIZE},
    )
    tables = {PLAIN: [plain] * len(SEEDS)} | {name: [] for name in trials}
    for name, number in product(trials, SEEDS):
        file = f"short_training_{name.replace(' ', '_')}_{number}.csv"
        by = partial(trained, trial=trials[name], number=number)
        settings = {"seed": seed, "number": number, "trial": asdict(trials[name])}
        tables[name].append(store.make(file, by=by, needs=needs, settings=settings))
    return tables


def against(tables: Mapping[str, Sequence[pd.DataFrame]], base: str, *, seed: int) -> pd.DataFrame:
    """What every trial changes, by all seeds together: as `intervals.agreed`, a row for each other trial.

    Args:
        tables: as `measure`.
        base: `PLAIN`, or the name of a trial.
        seed: of the bootstrap.
    """
    others = [name for name in tables if name not in (base, PLAIN)]
    by_seed = [dict(zip(tables, each, strict=True)) for each in zip(*tables.values(), strict=True)]
    return agreed([ablation(each, dict.fromkeys(others, base), seed=seed) for each in by_seed]).loc[others]
