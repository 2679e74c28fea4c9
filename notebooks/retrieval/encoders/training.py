"""Training an encoder, with checkpoints from which an interrupted training goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd

from retrieval.artifacts.store import Store
from retrieval.data.images import load_images
from retrieval.encoders.batches import draw_batch, draw_colours, draw_crops, shuffled_batches, vary
from retrieval.encoders.checkpoints import History, best_epoch, resume, save_epoch, weights_file
from retrieval.encoders.mobilenetv2 import preprocess
from retrieval.encoders.siamese import embed, for_training
from retrieval.encoders.tensorflow_quiet import keras, tf
from retrieval.progress import bar
from retrieval.search.neighbours import nearest

# uint8 images [n, size, size, 3] and their categories [n].
Images = tuple[np.ndarray, np.ndarray]
# From a batch's outputs of the model, float32 [n, dim], and its labels, integers [n], to scalars by name.
# "loss" is minimised, the others are kept in the history.
Loss = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
PHOTOGRAPHS = ("train_index_file.json", "val_index_file.json", "val_index_group.json", "images.json")
COLOURS = 0.2  # by how much brightness, contrast and saturation vary
WARM_UP = 32  # the fewest steps, unless that is more than half of them all
NEXT_TO_NOTHING = 1.5  # times the precision of chance


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained.

    Attributes:
        size: pixels on a side of the images for training and validation.
        crop: pixels on a side of the crops that the encoder sees in training.
        least_area: the smallest share of an image that a crop shows, in (0, 1].
        batch: images in a batch.
        of_each: how many images of each category a batch has (K, which divides the batch; P is batch / K).
            None is for a loss that needs no pairs: batches of an epoch then have no image twice.
        learning_rate: Adam's highest, after warming up and before the cosine decay.
        epochs: the most epochs. One has as many batches as the train part fills.
        patience: epochs without a better validation precision before training stops.
    """

    size: int
    crop: int
    least_area: float
    batch: int
    of_each: int | None
    learning_rate: float
    epochs: int
    patience: int


def one_of_each(groups: np.ndarray) -> np.ndarray:
    """Positions of one image of each group of duplicates, in the order of the groups' numbers.

    >>> one_of_each(np.array([7, 2, 7, 3])).tolist()
    [1, 3, 0]
    """
    return np.unique(groups, return_index=True)[1]


def photographs(store: Store, root: Path, size: int) -> tuple[Images, Images]:
    """The images of train, and one of each group of duplicates of val, decoded, with their categories.

    Every validation image is a query among the others; a copy would be too easy to find.

    Raises:
        RetrievalError: an index map cannot be used, or an image cannot be read.
    """
    once = one_of_each(store.groups("val"))
    val = np.array(store.files("val"))[once].tolist()
    return (
        (load_images(root, store.files("train"), size, folder=store.folder), store.categories("train")),
        (load_images(root, val, size, folder=store.folder), store.categories("val")[once]),
    )


def fit(
    store: Store,
    name: str,
    build: Callable[[], keras.Model],
    *,
    photographs: Callable[[int], tuple[Images, Images]],
    recipes: Sequence[Recipe],
    loss: partial[dict[str, tf.Tensor]],
    needs: Sequence[str] = (),
    number: int = 0,
    show: Callable[[pd.DataFrame], None] = lambda history: None,
) -> tuple[keras.Model, pd.DataFrame]:
    """A trained encoder and its history: the artifacts `<name>.keras` and `<name>_history.csv`.

    They are loaded if they are valid, else the encoder is built and trained. The history counts epochs
    through all stages.

    Args:
        photographs: from pixels on a side to the images of train and val.
        recipes: one for each stage, whose crops differ; it goes on with what the one before has learned.
        loss: a loss with its settings as keywords, which are recorded.
        needs: the artifacts that the encoder is built from, beside the photographs.
        number: added to the seed of the store's settings, to draw other batches, crops and colours.
        show: is given the history after every epoch (of the current stage) and at the end (of all stages).

    Raises:
        RetrievalError: as `Store.make`.
    """
    settings = {key: store.settings[key] for key in ("seed", "epochs")}
    settings |= {"recipes": [*map(asdict, recipes)], "loss": loss.keywords, "number": number}

    def by(folder: Path) -> tuple[keras.Model, pd.DataFrame]:
        model, histories = build(), []
        for stage in recipes:
            checkpoints = folder / str(stage.crop)
            options = {"loss": loss, "seed": settings["seed"] + number, "folder": checkpoints}
            model, history = train(model, *photographs(stage.size), stage, **options, on_epoch=show)
            histories.append(history)
        history = pd.concat(histories, ignore_index=True)
        return model, history.assign(epoch=history.index + 1)

    names, needs = (f"{name}.keras", f"{name}_history.csv"), [*PHOTOGRAPHS, *needs]
    encoder, history = store.make(*names, by=by, needs=needs, settings=settings)
    show(history)
    return encoder, history


def train(
    encoder: keras.Model,
    train_set: Images,
    val_set: Images,
    recipe: Recipe,
    *,
    loss: Loss,
    seed: int,
    folder: Path,
    on_epoch: Callable[[pd.DataFrame], None] = lambda history: None,
) -> tuple[keras.Model, pd.DataFrame]:
    """The encoder with the weights of its best epoch, and the history of its training, a row an epoch.

    Columns of the history: epoch; the means of what `loss` gave; val_precision, the P@3 of every
    validation image queried against the others; seconds; kept, whether it is the best epoch.

    Args:
        encoder: images in [-1, 1] to embeddings; it is changed in place.
        loss: what is minimised. Labels are the positions of the categories in sorted order.
        folder: of the checkpoints. If it holds undamaged ones that were written under the same name,
            training goes on after their last epoch. Anything else there is deleted.
        on_epoch: is given the history after every epoch.

    Raises:
        RetrievalError: a checkpoint cannot be written.
    """
    labels = np.unique(train_set[1], return_inverse=True)[1]
    steps = sum(1 for _ in _epoch(labels, recipe, np.random.default_rng(seed)))
    encoder.compile(keras.optimizers.Adam(_learning_rate(recipe, steps)))
    encoder.optimizer.build(encoder.trainable_variables)
    history, step = resume(encoder, folder), training_step(encoder, loss, recipe.crop)
    with bar(total=recipe.epochs * steps, initial=len(history) * steps, unit="batch") as progress:
        while len(history) < min(recipe.epochs, best_epoch(history) + recipe.patience):
            progress.set_description(f"epoch {len(history) + 1} of {recipe.epochs}", refresh=False)
            started, rng, batches = monotonic(), np.random.default_rng([seed, len(history)]), []
            for rows in _epoch(labels, recipe, rng):
                crops, colours = (
                    draw_crops(len(rows), recipe.least_area, rng),
                    draw_colours(len(rows), COLOURS, rng),
                )
                batches.append(step(train_set[0][rows], labels[rows], crops, colours))
                progress.update()
            row = {key: float(np.mean([batch[key] for batch in batches])) for key in batches[0]}
            row["val_precision"] = validation_precision(encoder, *val_set)
            history.append({"epoch": len(history) + 1, **row, "seconds": round(monotonic() - started, 1)})
            save_epoch(encoder, history, folder)
            progress.set_postfix(val_precision=f"{row['val_precision']:.3f}", refresh=False)
            on_epoch(_table(history))
        progress.total = progress.n  # training that stopped early is done
    encoder.load_weights(weights_file(folder, best_epoch(history)))
    return encoder, _table(history)


def training_step(encoder: keras.Model, loss: Loss, crop: int) -> Callable[..., dict[str, tf.Tensor]]:
    """A function that changes the encoder, whose optimiser is built, and gives what `loss` gave.

    It takes uint8 images `[n, size, size, 3]`, their labels `[n]`, and crops `[n, 4]` and colours `[n, 3]` as
    `batches` draws them. The encoder sees `crop` x `crop` pixels.
    """
    network = for_training(encoder)

    @tf.function(reduce_retracing=True)
    def step(
        images: tf.Tensor, labels: tf.Tensor, crops: tf.Tensor, colours: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        varied = vary(preprocess(images), crops, colours, crop)
        with tf.GradientTape() as tape:
            weights = (encoder.trainable_variables, encoder.non_trainable_variables)
            outputs, statistics = network.stateless_call(*weights, varied, training=True)
            values = loss(outputs, labels)
        gradients = tape.gradient(values["loss"], encoder.trainable_variables)
        encoder.optimizer.apply_gradients(zip(gradients, encoder.trainable_variables, strict=True))
        for variable, value in zip(encoder.non_trainable_variables, statistics, strict=True):
            variable.assign(value)
        return values

    return step


def describe(history: pd.DataFrame, *, chance: float) -> str:
    """One line about a training of one stage or more, from its history and what `chance` gave."""
    best = history[history.kept].iloc[-1]
    line = f"{len(history)} epochs in {history.seconds.sum() / 60:.0f} min; "
    if np.isnan(best.val_precision):
        return f"{line}no category has two validation images to choose an epoch by, so the last one is kept"
    little = ": it has learned next to nothing" if best.val_precision < NEXT_TO_NOTHING * chance else ""
    return (
        f"{line}best validation P@3 {best.val_precision:.3f} after epoch {best.epoch:.0f}, "
        f"by chance {chance:.3f}{little}"
    )


def chance(categories: np.ndarray) -> float:
    """The precision of images drawn blindly from all others, in [0, 1], for queries of all categories `[n]`.

    >>> chance(np.array(list("aab")))
    0.3333333333333333
    """
    counts = np.unique(categories, return_counts=True)[1]
    return float((counts * (counts - 1)).sum() / max(1, len(categories) * (len(categories) - 1)))


def validation_precision(encoder: keras.Model, images: np.ndarray, categories: np.ndarray) -> float:
    """Precision@3, in [0, 1], of every image `[n, size, size, 3]` queried against all the others.

    If a category has fewer than three others to find, so many count; if it has none, the image is no query.
    NaN if there is no query.
    """
    embeddings = embed(encoder, images)
    k = min(3, len(images) - 1)
    positions = nearest(embeddings, embeddings, k, method="exact", exclude_self=True)[1]
    _, own, counts = np.unique(categories, return_inverse=True, return_counts=True)
    wanted = np.minimum(k, counts[own] - 1)
    right = (categories[positions] == categories[:, None]) & (np.arange(k) < wanted[:, None])
    queries = wanted > 0
    return float((right[queries].sum(axis=1) / wanted[queries]).mean()) if queries.any() else float("nan")


def _epoch(labels: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The positions of the images of every batch of an epoch."""
    if recipe.of_each is None:
        yield from shuffled_batches(len(labels), recipe.batch, rng)
        return
    categories = min(recipe.batch // recipe.of_each, labels.max() + 1)
    for _ in range(max(1, len(labels) // (categories * recipe.of_each))):
        yield draw_batch(labels, categories, recipe.of_each, rng)


def _learning_rate(recipe: Recipe, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up, then half a cosine down to nearly nothing.

    Warming up takes half an epoch, `WARM_UP` steps at least, and half of all steps at most. Without it,
    triplet training of few images from scratch collapses: all embeddings end in one point.
    """
    total = steps * recipe.epochs
    warm_up = max(1, min(max(steps // 2, WARM_UP), total // 2))
    rate, decay = recipe.learning_rate, max(1, total - warm_up)
    return keras.optimizers.schedules.CosineDecay(
        rate / 10, decay, alpha=0.01, warmup_target=rate, warmup_steps=warm_up
    )


def _table(history: History) -> pd.DataFrame:
    return pd.DataFrame(history).assign(kept=lambda table: table.epoch == best_epoch(history))
