"""Training learns, keeps its best epoch, and goes on after an interruption without gap or repetition."""

from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest

from retrieval.encoders import training, triplets
from retrieval.errors import RetrievalError

RECIPE = training.Recipe(
    size=16,
    crop=12,
    least_area=0.5,
    categories=3,
    images=4,
    learning_rate=1e-2,
    epochs=3,
    patience=3,
)
LOSS = partial(triplets.hinge, margin=0.2)


def an_encoder() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Input((None, None, 3)),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(8),
    ]
    return keras.Sequential(layers)


def photographs(seed: int, per_category: int = 12) -> training.Images:
    """Noise, more or less of it in red, green or blue: three categories that can be learned."""
    rng = np.random.default_rng(seed)
    labels = np.arange(3).repeat(per_category)
    images = rng.integers(0, 160, (len(labels), 16, 16, 3))
    images[np.arange(len(labels)), :, :, labels] += 40
    return images.astype(np.uint8), np.array(["red", "green", "blue"])[labels]


def fit(folder, **changes):
    recipe = training.Recipe(**vars(RECIPE) | changes)
    return training.train(
        an_encoder(), photographs(0), photographs(1), recipe, loss=LOSS, seed=0, folder=folder
    )


def test_it_learns(tmp_path):
    _, history = fit(tmp_path, epochs=8, patience=8)
    assert history.epoch.tolist() == list(range(1, len(history) + 1))
    assert history.random.iloc[-1] < history.random.iloc[0]
    assert history.val_precision.max() > 0.6


def test_the_best_epoch_is_kept(tmp_path, monkeypatch):
    weights = []

    def best_after_the_second(encoder, images, categories):
        weights.append(encoder.get_weights())
        return [0.5, 0.9, 0.1, 0.9][len(weights) - 1]

    monkeypatch.setattr(training, "validation_precision", best_after_the_second)
    encoder, history = fit(tmp_path, epochs=4, patience=4)
    assert history.kept.tolist() == [False, True, False, False]
    for got, second in zip(encoder.get_weights(), weights[1], strict=True):
        np.testing.assert_array_equal(got, second)


def test_an_interrupted_training_goes_on_after_its_last_epoch(tmp_path):
    _, whole = fit(tmp_path / "whole")

    def interrupt(history: pd.DataFrame) -> None:
        if len(history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(
            an_encoder(),
            photographs(0),
            photographs(1),
            RECIPE,
            loss=LOSS,
            seed=0,
            folder=tmp_path / "part",
            on_epoch=interrupt,
        )
    _, resumed = fit(tmp_path / "part")
    assert resumed.epoch.tolist() == [1, 2, 3]
    columns = ["loss", "random", "hardest", "val_precision"]
    np.testing.assert_allclose(resumed[columns], whole[columns], rtol=1e-3, atol=1e-4)


def test_a_checkpoint_without_its_history_is_not_taken_for_an_epoch(tmp_path, monkeypatch):
    written = []

    def full_disk(path, write):
        if path.name == "history.json" and written:
            raise RetrievalError("disk full")
        written.append(path)
        write_atomically(path, write)

    write_atomically = training.write_atomically
    fit(tmp_path, epochs=1)
    monkeypatch.setattr(training, "write_atomically", full_disk)
    with pytest.raises(RetrievalError, match="disk full"):
        fit(tmp_path, epochs=2)
    monkeypatch.undo()
    _, history = fit(tmp_path, epochs=2)
    assert history.epoch.tolist() == [1, 2]


def test_training_stops_when_validation_no_longer_improves(tmp_path):
    _, history = fit(tmp_path, epochs=30, patience=2, learning_rate=1e-9)
    assert len(history) == 1 + int(history.val_precision.argmax()) + 2 < 30


def test_a_description_names_the_best_epoch_of_the_last_stage():
    history = pd.DataFrame(
        {"epoch": [1, 2, 3], "val_precision": [0.9, 0.5, 0.4], "seconds": 60.0, "kept": [True, True, False]}
    )
    told = training.describe(history, chance=0.1)
    assert told == "3 epochs in 3 min; best validation precision@3 0.500 after epoch 2, by chance 0.100"
    assert training.describe(history, chance=0.4).endswith("by chance 0.400: it has learned next to nothing")


@pytest.mark.parametrize(("steps", "warm_up"), [(64, 32), (128, 64), (5, 32), (1, 10)])
def test_warming_up_takes_half_an_epoch_or_more_steps_where_that_is_short(steps: int, warm_up: int) -> None:
    rate = training._learning_rate(
        training.Recipe(**vars(RECIPE) | {"learning_rate": 1.0, "epochs": 20}), steps
    )
    rates = [float(rate(step)) for step in range(20 * steps + 1)]
    assert np.argmax(rates) == warm_up and rates[warm_up] == pytest.approx(1)
    assert rates[0] == pytest.approx(0.1) and rates[-1] == pytest.approx(0.01)
