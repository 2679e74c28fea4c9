"""Trials: each is trained as it says, and scored on validation queries against train."""

import json
from functools import partial

import keras
import numpy as np
import pytest

from retrieval.artifacts.store import Store
from retrieval.data.parts import Part
from retrieval.encoders.training import PHOTOGRAPHS
from retrieval.studies import short_trainings
from retrieval.studies.short_trainings import Trial


def a_backbone() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.layers.Input((None, None, 3))
    outputs = keras.layers.Conv2D(8, 3, strides=4)(inputs)
    outputs = keras.layers.BatchNormalization(momentum=0.99)(outputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(outputs)))


def photographs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two categories; one is lighter."""
    rng = np.random.default_rng(seed)
    labels = np.arange(2).repeat(8)
    return (rng.integers(0, 150, (16, 8, 8, 3)) + 80 * labels[:, None, None, None]).astype(np.uint8), labels


def run(trial: Trial, folder) -> tuple[keras.Model, float]:
    encoder, scores = short_trainings.run(
        trial, a_backbone(), photographs(0), photographs(1), seed=0, folder=folder
    )
    return encoder, scores.map


@pytest.mark.parametrize("momentum", [0.5, 0.999])
def test_moving_statistics_follow_the_momentum(momentum, tmp_path):
    normalisation = run(Trial(momentum=momentum), tmp_path)[0].layers[2]
    assert normalisation.momentum == momentum and normalisation.trainable
    moved = np.abs(normalisation.moving_variance.numpy() - 1).max()
    assert (moved > 0.1) == (momentum == 0.5)


def test_without_momentum_batch_normalisation_is_frozen(tmp_path):
    encoder, _ = run(Trial(momentum=None), tmp_path)
    np.testing.assert_array_equal(encoder.layers[2].moving_variance, 1)
    assert not encoder.layers[2].trainable_variables


def test_a_trial_is_scored_with_validation_queries_against_train(tmp_path):
    encoder, found = run(Trial(unit_length=False), tmp_path)
    score = partial(short_trainings.score, encoder, photographs(0), photographs(1))
    assert found == score(unit_length=False).map > 0.5
    assert score(unit_length=True).map != found


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [{"mining": "hardest"}, {"margin": 1.0}, {"unit_length": False}, {"learning_rate": 1e-2}],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_reaches_the_training(change, tmp_path):
    usual = {"margin": 2.0}  # so wide that most triplets violate it
    kernels = [
        run(Trial(**each), tmp_path / str(number))[0].layers[1].kernel.numpy()
        for number, each in enumerate([usual, usual, usual | change])
    ]
    np.testing.assert_allclose(kernels[0], kernels[1], atol=1e-5)
    assert np.abs(kernels[2] - kernels[0]).max() > 1e-4


def test_epochs_are_trained(tmp_path):
    run(Trial(epochs=2), tmp_path)
    assert len(json.loads((tmp_path / "history.json").read_text())["epochs"]) == 2


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A function that measures two trials, whose trainings are drawn by their seed, and the seeds it used."""
    store, used = Store(tmp_path, {"seed": 5}), []
    for name in (*PHOTOGRAPHS, "weights.json"):
        store.save(name, {str(row): row for row in range(16)})

    def run(trial, backbone, train_set, val_set, *, seed, folder):
        used.append(seed)
        return backbone, short_trainings.score(
            backbone, (train_set[0] + np.uint8(seed), train_set[1]), val_set
        )

    monkeypatch.setattr(short_trainings, "run", run)
    labels = photographs(1)[1]
    queries = Part(labels, labels, np.arange(16).astype(str), np.arange(16))
    options = {"backbone": a_backbone, "photographs": lambda: (photographs(0), photographs(1))}
    trials = {"as above": Trial(), "three epochs": Trial(epochs=3)}
    return lambda: short_trainings.measure(store, trials, queries, **options), used, tmp_path


def test_every_trial_is_trained_once_with_each_seed(measured, monkeypatch):
    measure, used, folder = measured
    monkeypatch.setattr(short_trainings, "ENOUGH", 16)
    tables = measure()
    assert used == [5, 6, 7] * 2
    kept = sorted(path.name for path in folder.glob("*.csv"))
    trained = [
        f"short_training_{name}_{seed}.csv" for name in ("as_above", "three_epochs") for seed in range(3)
    ]
    assert kept == sorted(["short_training_plain.csv", *trained])
    assert list(tables) == [short_trainings.PLAIN, "as above", "three epochs"]
    assert {len(each) for each in tables.values()} == {3}
    measure()
    assert len(used) == 6, "what is there is not trained again"
    compared = short_trainings.against(tables, short_trainings.PLAIN, seed=0)
    assert list(compared.index) == ["as above", "three epochs"]
    values = [table.average_precision.mean() for table in tables["as above"]]
    row, plain = compared.loc["as above"], tables[short_trainings.PLAIN][0].average_precision.mean()
    assert row["against"] == short_trainings.PLAIN
    figures = row[["mAP", "mAP difference", "mAP low", "mAP high"]].tolist()
    mean = np.mean(values)
    np.testing.assert_allclose(figures, [mean, mean - plain, min(values) - plain, max(values) - plain])
    assert list(short_trainings.against(tables, "as above", seed=0).index) == ["three epochs"]


def test_too_few_images_train_nothing(measured, capsys):
    measure, used, folder = measured
    assert measure() == {} and not used and not list(folder.glob("*.csv"))
    assert capsys.readouterr().out.count("\n") == 1
