"""Training learns, keeps its best epoch, and goes on after an interruption without gap or repetition."""

from dataclasses import asdict
from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from retrieval.artifacts.store import Store
from retrieval.encoders import checkpoints, training, triplets
from retrieval.errors import RetrievalError

RECIPE = training.Recipe(
    size=16,
    crop=12,
    least_area=0.5,
    batch=12,
    of_each=4,
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


def noise(seed: int, per_category: int = 12) -> training.Images:
    """Noise, more or less of it in red, green or blue: three categories that can be learned."""
    rng = np.random.default_rng(seed)
    labels = np.arange(3).repeat(per_category)
    images = rng.integers(0, 160, (len(labels), 16, 16, 3))
    images[np.arange(len(labels)), :, :, labels] += 40
    return images.astype(np.uint8), np.array(["red", "green", "blue"])[labels]


def train(folder, **changes):
    recipe = training.Recipe(**vars(RECIPE) | changes)
    return training.train(an_encoder(), noise(0), noise(1), recipe, loss=LOSS, seed=0, folder=folder)


def test_it_learns(tmp_path):
    _, history = train(tmp_path, epochs=8, patience=8)
    assert history.epoch.tolist() == list(range(1, len(history) + 1))
    assert history.random.iloc[-1] < history.random.iloc[0]
    assert history.val_precision.max() > 0.6


def test_the_best_epoch_is_kept(tmp_path, monkeypatch):
    weights = []

    def best_after_the_second(encoder, images, categories):
        weights.append(encoder.get_weights())
        return [0.5, 0.9, 0.1, 0.9][len(weights) - 1]

    monkeypatch.setattr(training, "validation_precision", best_after_the_second)
    encoder, history = train(tmp_path, epochs=4, patience=4)
    assert history.kept.tolist() == [False, True, False, False]
    for got, second in zip(encoder.get_weights(), weights[1], strict=True):
        np.testing.assert_array_equal(got, second)


def test_an_interrupted_training_goes_on_after_its_last_epoch(tmp_path):
    _, whole = train(tmp_path / "whole")

    def interrupt(history: pd.DataFrame) -> None:
        if len(history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(
            an_encoder(),
            noise(0),
            noise(1),
            RECIPE,
            loss=LOSS,
            seed=0,
            folder=tmp_path / "part",
            on_epoch=interrupt,
        )
    _, resumed = train(tmp_path / "part")
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

    write_atomically = checkpoints.write_atomically
    train(tmp_path, epochs=1)
    monkeypatch.setattr(checkpoints, "write_atomically", full_disk)
    with pytest.raises(RetrievalError, match="disk full"):
        train(tmp_path, epochs=2)
    monkeypatch.undo()
    _, history = train(tmp_path, epochs=2)
    assert history.epoch.tolist() == [1, 2]


def test_training_stops_when_validation_no_longer_improves(tmp_path):
    _, history = train(tmp_path, epochs=30, patience=2, learning_rate=1e-9)
    assert len(history) == 1 + int(history.val_precision.argmax()) + 2 < 30


def test_a_description_names_the_best_epoch_of_the_last_stage():
    history = pd.DataFrame(
        {"epoch": [1, 2, 3], "val_precision": [0.9, 0.5, 0.4], "seconds": 60.0, "kept": [True, True, False]}
    )
    told = training.describe(history, chance=0.1)
    assert told == "3 epochs in 3 min; best validation P@3 0.500 after epoch 2, by chance 0.100"
    assert training.describe(history, chance=0.4).endswith("by chance 0.400: it has learned next to nothing")


@pytest.mark.parametrize(("steps", "warm_up"), [(64, 32), (128, 64), (5, 32), (1, 10)])
def test_warming_up_takes_half_an_epoch_or_more_steps_where_that_is_short(steps: int, warm_up: int) -> None:
    rate = training._learning_rate(
        training.Recipe(**vars(RECIPE) | {"learning_rate": 1.0, "epochs": 20}), steps
    )
    rates = [float(rate(step)) for step in range(20 * steps + 1)]
    assert np.argmax(rates) == warm_up and rates[warm_up] == pytest.approx(1)
    assert rates[0] == pytest.approx(0.1) and rates[-1] == pytest.approx(0.01)


@pytest.mark.parametrize(("of_each", "batches"), [(4, [12, 12, 12]), (3, [9] * 4), (None, [12, 12, 12])])
def test_an_epoch_has_as_many_batches_as_the_images_fill(of_each: int | None, batches: list[int]) -> None:
    recipe, labels = training.Recipe(**vars(RECIPE) | {"of_each": of_each}), np.arange(3).repeat(13)
    rows = [*training._epoch(labels, recipe, np.random.default_rng(0))]
    assert [len(each) for each in rows] == batches
    if of_each is None:
        assert len(set(np.concatenate(rows).tolist())) == 36, "none is seen twice"


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "artifacts", {"seed": 0, "epochs": None})
    store.save("images.json", {"files": []})
    for part, categories, groups in (("train", "aabb", [0, 1, 2, 3]), ("val", "abab", [9, 4, 9, 7])):
        files = [f"{category}/{part}-{row}.png" for row, category in enumerate(categories)]
        for row, file in enumerate(files):
            (tmp_path / file).parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8), (10 * row, 0, 0)).save(tmp_path / file)
        for name, values in (("file", files), ("category", categories), ("group", groups)):
            store.save(f"{part}_index_{name}.json", dict(zip("0123", values, strict=True)))
    return store


def test_photographs_are_all_of_train_and_one_of_each_group_of_val(store, tmp_path):
    (train_images, train_categories), (images, categories) = training.photographs(store, tmp_path, 4)
    assert train_images.shape == (4, 4, 4, 3) and train_images.dtype == np.uint8
    assert train_images[:, 0, 0, 0].tolist() == [0, 10, 20, 30] and train_categories.tolist() == list("aabb")
    # The groups 4, 7 and 9, of which the first image is taken.
    assert images[:, 0, 0, 0].tolist() == [10, 30, 0] and categories.tolist() == list("bba")


def fit(store, recipes, shown):
    return training.fit(
        store,
        "siamese_cnn",
        an_encoder,
        photographs=lambda size: (noise(0), noise(1)),
        recipes=recipes,
        loss=LOSS,
        show=lambda history: shown.append(len(history)),
    )


def test_fit_trains_once_and_records_what_was_trained(store):
    shown, again = [], []
    encoder, history = fit(store, [RECIPE], shown)
    assert shown == [1, 2, 3, 3] and history.epoch.tolist() == [1, 2, 3]
    reused, same = fit(store, [RECIPE], again)
    assert again == [3] and same.equals(history)
    np.testing.assert_array_equal(reused.get_weights()[0], encoder.get_weights()[0])
    for name in ("siamese_cnn.keras", "siamese_cnn_history.csv"):
        record = store.manifest()[name]
        assert record["settings"] == {
            "seed": 0,
            "epochs": None,
            "recipes": [asdict(RECIPE)],
            "loss": {"margin": 0.2},
            "number": 0,
        }
        assert set(record["inputs"]) == set(training.PHOTOGRAPHS)


def test_fit_in_stages_counts_epochs_through(store):
    stages = [training.Recipe(**vars(RECIPE) | {"epochs": 2, "crop": crop}) for crop in (8, 12)]
    shown = []
    _, history = fit(store, stages, shown)
    assert shown == [1, 2, 1, 2, 4] and history.epoch.tolist() == [1, 2, 3, 4]
    assert history.kept.sum() == 2
    settings = store.manifest()["siamese_cnn.keras"]["settings"]
    assert settings["recipes"] == [asdict(stage) for stage in stages]


@pytest.mark.parametrize(
    "categories, precision, by_chance",
    [
        ("aaaabbbb", 1.0, 3 / 7),
        ("aabb", 1.0, 1 / 3),  # each has one other image to find
        ("aab", 1.0, 1 / 3),  # b is no query
        ("abc", np.nan, 0.0),
    ],
)
def test_precision_counts_no_more_images_than_there_are_to_find(
    monkeypatch, categories: str, precision: float, by_chance: float
):
    colours = np.array([ord(each) for each in categories], np.float32)[:, np.newaxis]
    monkeypatch.setattr(training, "embed", lambda encoder, images: images)
    found = training.validation_precision(None, colours, np.array(list(categories)))
    np.testing.assert_equal(found, precision)
    assert training.chance(np.array(list(categories))) == pytest.approx(by_chance)


def test_without_a_precision_to_choose_by_the_last_epoch_is_kept():
    history = [{"epoch": epoch, "val_precision": np.nan, "seconds": 60.0} for epoch in (1, 2, 3)]
    assert checkpoints.best_epoch(history) == 3
    table = pd.DataFrame(history).assign(kept=[False, False, True])
    assert training.describe(table, chance=0.0).endswith("so the last one is kept")
