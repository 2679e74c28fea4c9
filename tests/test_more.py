"""The notebooks in `more/`, executed on the small data set after the six."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
from contract import check_executed, check_features, check_manifest, check_result

from retrieval.artifacts.store import open_store
from retrieval.data.dataset import category_of
from retrieval.data.parts import PARTS
from retrieval.encoders import training
from retrieval.evaluation import scoring
from retrieval.features import lda
from retrieval.search.neighbours import nearest
from retrieval.search.retriever import Retriever
from retrieval.settings import read_settings
from retrieval.studies import stronger_encoder, unseen_categories

pytestmark = pytest.mark.slow

FEWER = len(tiny.COLOURS) - 1  # dimensions that LDA leaves
DIMENSIONS = {
    **dict.fromkeys(("proxy_mobilenetv2", "proxy_mobilenetv2_2", "imagenet_mobilenetv2"), 1280),
    "interpolated_mobilenetv2": 1280,
    **dict.fromkeys(("proxy_lda", "fused_lda", "expanded"), FEWER),
}


@pytest.fixture(scope="module")
def more(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six's artifacts, and the others', made from a copy of them."""
    copy = tmp_path_factory.mktemp("more") / "project"
    shutil.copytree(folder, copy)
    done = tiny.run(*tiny.MORE, folder=copy)
    assert done.returncode == 0, done.stderr[-3000:]
    return copy / "artifacts"


@pytest.mark.parametrize("step", tiny.MORE)
def test_the_executed_notebook_is_kept_as_notebook_and_page(more: Path, step: str) -> None:
    check_executed(more, step)


@pytest.mark.parametrize("features", DIMENSIONS)
def test_features_and_results_are_what_the_contract_says(more: Path, features: str) -> None:
    check_features(more, features, DIMENSIONS[features])
    if features not in ("imagenet_mobilenetv2", "proxy_mobilenetv2_2"):
        check_result(more, features)


def test_the_manifest_covers_and_fits_what_is_there(more: Path) -> None:
    leaving = [step for step in tiny.MORE if step not in ("more/b_tree_or_exact", "more/f_open_set")]
    # Fine-tuning needs more images than these for its short trainings.
    check_manifest(more, tiny.STEPS + [step for step in leaving if step != "more/c_fine_tuning"])


def test_the_kept_model_answers_as_the_notebook_does(more: Path) -> None:
    retriever = Retriever.load(more / "models" / "interpolated_mobilenetv2")
    rows = [np.load(more / f"interpolated_mobilenetv2_{part}.npy") for part in PARTS]
    np.testing.assert_allclose(retriever.features, np.concatenate(rows), atol=1e-6)
    spaces = {False: retriever.features, True: lda.transform(retriever.features, retriever.model.lda)}
    for row in (0, 17, 39):
        for after_lda, space in spaces.items():
            answer = retriever.search(retriever.root / retriever.files[row], 5, after_lda=after_lda)
            distances = nearest(space, space[[row]], 5, method="exact")[0][0]
            # Of four categories, LDA leaves three dimensions, in which many images nearly coincide.
            np.testing.assert_allclose(answer.distances, distances, atol=1e-4)


def test_label_errors_have_the_columns_of_the_audit(more: Path) -> None:
    columns = ["kind", "file", "other_file", "distance", "part", "other_part"]
    assert list(pd.read_csv(more / "label_errors.csv").columns) == columns


def test_each_needs_no_more_than_the_six(folder: Path, tmp_path: Path) -> None:
    for step in ("more/e_feedback", "more/f_open_set"):
        shutil.copytree(folder, tmp_path / step)
        done = tiny.run(step, folder=tmp_path / step)
        assert done.returncode == 0, done.stderr[-3000:]


def test_categories_can_be_held_out_of_training(folder: Path, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    for name, value in tiny.environment(tmp_path / "copy").items():
        monkeypatch.setenv(name, value)
    trained, fitted, searched = [], [], []

    def train(model, train_set, val_set, recipe, **options):
        trained.extend([*train_set[1], *val_set[1]])
        return training.train(model, train_set, val_set, recipe, **options)

    def score(gallery, queries):
        searched.extend(gallery.categories)
        return scoring.score(gallery, queries)

    def choose(parts, change, values):
        fitted.extend([*parts["train"].categories, *parts["val"].categories])
        return stronger_encoder.choose(parts, change, values)

    monkeypatch.setattr(unseen_categories, "choose", choose)
    monkeypatch.setattr(unseen_categories, "training", SimpleNamespace(train=train))
    monkeypatch.setattr(unseen_categories, "score", score)
    settings = read_settings()
    store = open_store(settings)
    table = unseen_categories.measure(store, settings, 0)
    categories = store.categories("train")
    held_out = set(unseen_categories.hold_out(categories, draw=0))
    assert set(trained) == set(fitted) == set(categories) - held_out and set(searched) == held_out
    assert table.encoder.unique().tolist() == [
        *("plain", "plain, PCA", "plain, logistic", "plain, LDA", "fine-tuned", "fine-tuned, LDA"),
        *("interpolated 0.5", "interpolated 0.7", "interpolated 0.7, LDA"),
    ]
    for _, queries in table.groupby("encoder"):
        assert {category_of(file) for file in queries.file} == held_out
        assert len(queries) == 2 * tiny.IMAGES // 5
