"""What duplicates and the choice of a split are worth, on features whose answer is known."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pictures import fails

from retrieval.artifacts.store import Store
from retrieval.data import duplicates
from retrieval.data.parts import Part
from retrieval.settings import PROJECT
from retrieval.studies import splits

PER_CATEGORY = 40


@pytest.fixture
def copies() -> tuple[Part, pd.DataFrame]:
    """Noise in which nothing but a copy can be found; every image of two categories has one."""
    rng = np.random.default_rng(0)
    originals = rng.normal(size=(PER_CATEGORY, 32))
    vectors = np.repeat(originals, 2, axis=0)
    files = [f"{'ab'[row >= PER_CATEGORY]}/{row}.jpg" for row in range(2 * PER_CATEGORY)]
    pairs = [("exact", files[row], files[row + 1], 0.0) for row in range(0, len(files), 2)]
    categories = np.repeat(["a", "b"], PER_CATEGORY)
    images = Part(vectors, categories, np.array(files), np.arange(len(files)) // 2)
    return images, pd.DataFrame(pairs, columns=duplicates.COLUMNS)


def test_a_plain_split_finds_copies_and_a_grouped_one_cannot(copies) -> None:
    table = splits.price_of_duplicates(*copies, seed=0)
    plain, grouped, clean = table.index
    assert table.loc[plain, ("", "leaking pairs")] > 0 == table.loc[grouped, ("", "leaking pairs")]
    assert table.loc[plain, ("P@3", "value")] > table.loc[grouped, ("P@3", "value")] + 0.05
    assert set(table.columns.get_level_values(0)) == {"", "P@3", "mAP", "ANMRR"}
    pd.testing.assert_series_equal(table.loc[grouped], table.loc[clean], check_names=False)


def test_copies_are_worth_what_they_alone_bring(copies) -> None:
    images, _ = copies
    worth = splits.worth_of_copies(images, seed=0)
    assert worth.verdict["P@3"] == "better" and worth.difference["P@3"] > 0.05
    none = splits.worth_of_copies(replace(images, groups=np.arange(len(images))), seed=0)
    assert none.difference.tolist() == [0, 0, 0] and set(none.verdict) == {"no difference"}


def test_conflicting_images_are_left_out_of_index_and_queries(copies) -> None:
    images, pairs = copies
    conflicts = pairs.head(10).assign(kind="conflicting")
    table = splits.price_of_duplicates(images, pd.concat([pairs, conflicts]), seed=0)
    queries = table["", "queries"]
    assert 0 < queries.iloc[1] - queries.iloc[2] <= 20


def test_queries_with_nothing_but_copies_are_left_out_of_both_sides(copies, capsys) -> None:
    """Of category a, all images are copies of one; without copies the gallery has none."""
    images, _ = copies
    burst = replace(images, groups=np.where(images.categories == "a", 0, images.groups))
    worth = splits.worth_of_copies(burst, seed=0)
    assert "8 queries of categories without any image in the gallery (a)" in capsys.readouterr().out
    assert worth.difference["mAP"] > 0.02 > 0 > worth.difference["ANMRR"]
    nothing = splits.worth_of_copies(replace(images, groups=np.zeros(len(images), int)), seed=0)
    assert nothing.difference.isna().all() and set(nothing.verdict) == {"not measured"}


def test_a_protocol_that_leaves_no_queries_has_no_row_and_a_line(copies, capsys) -> None:
    images, pairs = copies
    everything = pd.concat([pairs, pairs.assign(kind="conflicting")])
    assert len(splits.price_of_duplicates(images, everything, seed=0)) == 2
    assert capsys.readouterr().out.startswith("left out: the row 'grouped, conflicting labels left out'")


def test_without_a_grouped_split_there_is_nothing_to_compare(copies) -> None:
    images, pairs = copies
    tied = replace(images, groups=np.where(images.categories == "a", 0, images.groups))
    fails(lambda: splits.price_of_duplicates(tied, pairs, seed=0), "tie the images of a", "to compare with")


def test_the_spread_over_seeds_is_that_of_pandas(copies) -> None:
    repeated = splits.repeat(copies[0], grouped=False, seeds=range(3))
    assert repeated.groupby("method").seed.apply(list).tolist() == [[0, 1, 2]] * 2
    table = splits.spread(repeated)
    own = repeated[repeated.method == "MobileNetV2"]["mAP"]
    assert own.nunique() == 3
    expected = [own.mean(), own.std(), own.min(), own.max()]
    assert table.loc[("MobileNetV2", "mAP")].tolist() == pytest.approx(expected)


def test_a_copy_of_a_judged_image_is_no_residual_find() -> None:
    """Twenty index images in one place are found in two rounds, unless they are copies of each other."""
    far = 10 + np.random.default_rng(0).normal(size=(60, 4))
    vectors, categories = np.concatenate([np.zeros((40, 4)), far]), np.repeat(["a", "b"], [40, 60])
    alone = np.arange(100)
    images = Part(vectors, categories, alone.astype(str), alone)
    copies = replace(images, groups=np.where(categories == "a", 0, alone))
    residual = [
        splits._residual(each.take(alone % 2 == 0), each.take(alone % 2 == 1), grouped=grouped)
        for each, grouped in ((copies, False), (images, True), (copies, True))
    ]
    assert residual[0] == residual[1] > residual[2]
    assert np.isnan(splits._residual(copies.take(alone < 40), images, grouped=True))


def test_make_seeds_without_features_says_what_to_run(tmp_path: Path) -> None:
    Store(tmp_path, {}).save("dataset.json", {"name": "photographs", "images": 9, "categories": 2})
    done = subprocess.run(
        [sys.executable, "-m", "retrieval.commands.seeds"],
        cwd=PROJECT / "notebooks",
        env={"ARTIFACTS": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "images.json is missing: run notebook 01" in done.stderr
