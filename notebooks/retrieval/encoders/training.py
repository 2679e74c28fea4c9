"""Training an encoder, with checkpoints that an interrupted training goes on from."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd

from retrieval.encoders.batches import draw_batch, draw_colours, draw_crops, vary
from retrieval.encoders.mobilenetv2 import preprocess
from retrieval.encoders.siamese import embed
from retrieval.encoders.tensorflow_quiet import keras, tf
from retrieval.evaluation.metrics import precision_at
from retrieval.files import json_sha256, remove, sha256, write_atomically
from retrieval.progress import bar
from retrieval.search.neighbours import nearest

Images = tuple[np.ndarray, np.ndarray]
History = list[dict[str, float]]
# Of a batch: the outputs of the model, float32 [n, dim], and the labels, integers [n], to scalars by
# name, of which "loss" is minimised and the others are kept in the history.
Loss = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
COLOURS = 0.2  # by how much brightness, contrast and saturation vary
WARM_UP = 32  # the fewest steps, unless that is more than half of them all
NEXT_TO_NOTHING = 1.5  # times the precision of chance


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained.

    Attributes:
        size: pixels on a side of the pictures it is trained and validated on.
        crop: pixels on a side of the crops that it sees in training.
        least_area: the smallest share of a picture that a crop shows, in (0, 1].
        categories: P, how many categories a batch holds.
        images: K, how many images of each.
        learning_rate: Adam's highest, after warming up and before the cosine decay.
        epochs: the most that are trained; one sees about as many images as the train set has.
        patience: epochs without a better validation precision before training stops.
    """

    size: int
    crop: int
    least_area: float
    categories: int
    images: int
    learning_rate: float
    epochs: int
    patience: int


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
    """Trains an encoder on batches of P categories x K images.

    Args:
        encoder: images in [-1, 1] to embeddings; it is changed in place.
        train_set: uint8 images `[n, size, size, 3]` and their categories `[n]`.
        val_set: the same of the validation part.
        recipe: what is learned from, and how fast.
        loss: what is minimised. Labels are the positions of the categories in sorted order.
        seed: of the batches and crops.
        folder: of the checkpoints; a training that finds some there, undamaged and written under the
            same name, goes on after their last epoch. Anything else there is deleted.
        on_epoch: is given the history after every epoch.

    Returns:
        The encoder with the weights of its best epoch, and the history, a row an epoch: epoch; the
        means of what `loss` gave; val_precision, the precision@3 of every validation image queried
        against the others; seconds; kept, whether it is the best.

    Raises:
        RetrievalError: a checkpoint cannot be written.
    """
    images, categories = train_set
    labels = np.unique(categories, return_inverse=True)[1]
    batch = min(recipe.categories, labels.max() + 1) * recipe.images
    steps = max(1, len(labels) // batch)
    encoder.compile(keras.optimizers.Adam(_learning_rate(recipe, steps)))
    encoder.optimizer.build(encoder.trainable_variables)
    history, step = _resume(encoder, folder), training_step(encoder, loss, recipe.crop)
    with bar(total=recipe.epochs * steps, initial=len(history) * steps, unit="batch") as progress:
        while len(history) < recipe.epochs and not _has_stalled(history, recipe.patience):
            progress.set_description(f"epoch {len(history) + 1} of {recipe.epochs}", refresh=False)
            started, rng, batches = monotonic(), np.random.default_rng([seed, len(history)]), []
            for _ in range(steps):
                rows = draw_batch(labels, recipe.categories, recipe.images, rng)
                crops = draw_crops(len(rows), recipe.least_area, rng)
                colours = draw_colours(len(rows), COLOURS, rng)
                batches.append(step(images[rows], labels[rows], crops, colours))
                progress.update()
            row = {key: float(np.mean([batch[key] for batch in batches])) for key in batches[0]}
            row["val_precision"] = validation_precision(encoder, *val_set)
            history.append({"epoch": len(history) + 1, **row, "seconds": round(monotonic() - started, 1)})
            _checkpoint(encoder, history, folder)
            progress.set_postfix(val_precision=f"{row['val_precision']:.3f}", refresh=False)
            on_epoch(_table(history))
        # What stopped early is done.
        progress.total = progress.n
    encoder.load_weights(_weights(folder, _best_epoch(history)))
    return encoder, _table(history)


def training_step(encoder: keras.Model, loss: Loss, crop: int) -> Callable[..., dict[str, tf.Tensor]]:
    """A step on uint8 images, their labels, and crops and colours as `batches` draws them.

    Args:
        encoder: compiled; its optimiser is built.
        loss: what is minimised.
        crop: pixels on a side of the crops.

    Returns:
        A function that changes the encoder and gives what `loss` gave.
    """

    @tf.function(reduce_retracing=True)
    def step(
        images: tf.Tensor, labels: tf.Tensor, crops: tf.Tensor, colours: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        varied = vary(preprocess(images), crops, colours, crop)
        with tf.GradientTape() as tape:
            values = loss(encoder(varied, training=True), labels)
        gradients = tape.gradient(values["loss"], encoder.trainable_variables)
        encoder.optimizer.apply_gradients(zip(gradients, encoder.trainable_variables, strict=True))
        return values

    return step


def describe(history: pd.DataFrame, *, chance: float) -> str:
    """One line about a training of one stage or more, from its history and the precision@3 of chance."""
    best = history[history.kept].iloc[-1]
    little = best.val_precision < NEXT_TO_NOTHING * chance
    return (
        f"{len(history)} epochs in {history.seconds.sum() / 60:.0f} min; "
        f"best validation precision@3 {best.val_precision:.3f} after epoch {best.epoch:.0f}, "
        f"by chance {chance:.3f}{': it has learned next to nothing' if little else ''}"
    )


def validation_precision(encoder: keras.Model, images: np.ndarray, categories: np.ndarray) -> float:
    """Precision@3 in [0, 1] of every image `[n, size, size, 3]` queried against all the others.

    Of fewer than four images, all others count.
    """
    embeddings = embed(encoder, images)
    k = min(3, len(images) - 1)
    positions = nearest(embeddings, embeddings, k, method="exact", exclude_self=True)[1]
    return float(precision_at(categories[positions] == categories[:, None], k).mean())


def _learning_rate(recipe: Recipe, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up, then half a cosine down to nearly nothing.

    Warming up takes half an epoch, `WARM_UP` steps at least, and half of all steps at most. Of few images,
    half an epoch is a step or two, and a triplet training from scratch that starts at its full rate draws
    all embeddings together in one point.
    """
    total = steps * recipe.epochs
    warm_up = max(1, min(max(steps // 2, WARM_UP), total // 2))
    return keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 10,
        max(1, total - warm_up),
        alpha=0.01,
        warmup_target=recipe.learning_rate,
        warmup_steps=warm_up,
    )


def _table(history: History) -> pd.DataFrame:
    table = pd.DataFrame(history)
    return table.assign(kept=table.epoch == _best_epoch(history))


def _has_stalled(history: History, patience: int) -> bool:
    return bool(history) and len(history) - _best_epoch(history) >= patience


def _best_epoch(history: History) -> int:
    return 1 + int(np.argmax([row["val_precision"] for row in history]))


def _checkpoint(encoder: keras.Model, history: History, folder: Path) -> None:
    """Saves the epoch that just ended, and keeps the best one.

    The history is written after the weights that it speaks of, and those of older epochs are only
    deleted then: a training killed in between goes on from the epoch before. It holds their hashes
    and its own.
    """
    write_atomically(_weights(folder, len(history)), encoder.save_weights)
    kept = {_weights(folder, epoch) for epoch in (len(history), _best_epoch(history))}
    state = {"epochs": history, "weights": {file.name: sha256(file) for file in kept}}
    text = json.dumps(state | {"sha256": json_sha256([folder.name, state])}, indent=1)
    write_atomically(folder / "history.json", lambda file: file.write_text(text, "utf-8"))
    for file in set(folder.glob("*.weights.h5")) - kept:
        file.unlink()


def _resume(encoder: keras.Model, folder: Path) -> History:
    """Loads the weights and the optimiser's state of the last finished epoch, if there is one."""
    history = _read_history(folder)
    if history:
        encoder.load_weights(_weights(folder, len(history)))
        print(f"resumed after epoch {len(history)}")
    else:
        remove(folder)
    return history


def _read_history(folder: Path) -> History:
    """The finished epochs whose checkpoints are as they were written; none if anything is damaged."""
    with suppress(AttributeError, KeyError, OSError, TypeError, ValueError):
        state = json.loads((folder / "history.json").read_text("utf-8"))
        seal, weights = state.pop("sha256"), state["weights"]
        intact = all(sha256(folder / name) == digest for name, digest in weights.items())
        if intact and seal == json_sha256([folder.name, state]):
            return state["epochs"]
    return []


def _weights(folder: Path, epoch: int) -> Path:
    return folder / f"{epoch}.weights.h5"
