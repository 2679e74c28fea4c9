"""Wrong labels and unknown copies, planted and found."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.data.parts import Part
from retrieval.studies import label_errors as study


def label_errors(vectors, files, parts):
    categories = np.array([file[0] for file in files])
    return study.label_errors(Part(vectors, categories, np.array(files), np.arange(len(files))), parts)


def lookalikes(vectors, files, groups):
    return study.lookalikes(Part(vectors, np.array(files), np.array(files), groups))


@pytest.fixture
def scene() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Three categories of 20 images, each around a direction of its own, dealt to the three parts."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(np.eye(3, 16), 20, axis=0) + rng.normal(scale=0.05, size=(60, 16))
    files = [f"{'abc'[row // 20]}/{row}.jpg" for row in range(60)]
    return vectors, files, np.tile(["train"] * 3 + ["val", "test"], 12)


def test_labels_that_fit_are_not_suspect(scene) -> None:
    assert len(label_errors(*scene)) == 0


def test_wrong_labels_are_found_the_most_suspicious_first(scene) -> None:
    vectors, files, parts = scene
    vectors[3] = np.eye(16)[1]
    vectors[24] = np.eye(16)[2] + 0.35 * np.eye(16)[1]
    # Length says nothing.
    found = label_errors(vectors * np.linspace(1, 9, 60)[:, None], files, parts)
    assert found["kind"].tolist() == ["suspect"] * 2
    assert found["file"].tolist() == ["a/3.jpg", "b/24.jpg"]
    assert [file[0] for file in found["other_file"]] == ["b", "c"]
    for row in found.itertuples():
        at, other = files.index(row.file), files.index(row.other_file)
        assert parts[at] != parts[other]
        between = [vectors[i] / np.linalg.norm(vectors[i]) for i in (at, other)]
        assert row.distance == pytest.approx(np.linalg.norm(between[0] - between[1]), abs=1e-5)


def test_neighbours_that_disagree_raise_no_suspicion(scene) -> None:
    vectors, files, parts = scene
    vectors[3] = np.eye(16)[1]
    others = np.flatnonzero(parts != parts[3])
    nearest = others[np.argmin(np.linalg.norm(vectors[others] - vectors[3], axis=1))]
    files[nearest] = "c/other.jpg"
    assert "a/3.jpg" not in label_errors(vectors, files, parts)["file"].tolist()


def test_a_copy_in_the_same_part_does_not_vouch_for_a_label(scene) -> None:
    vectors, files, parts = scene
    vectors[3] = vectors[8] = np.eye(16)[1]
    assert parts[3] == parts[8]
    assert set(label_errors(vectors, files, parts)["file"]) == {"a/3.jpg", "a/8.jpg"}


def test_lookalikes_are_the_near_pairs_that_are_not_known(scene) -> None:
    vectors, files, _ = scene
    vectors[7], vectors[40] = vectors[2], vectors[30] * 3 + 0.001
    groups = np.arange(60)
    found = lookalikes(vectors, files, groups)
    assert found.head(2)[["file", "other_file"]].values.tolist() == [
        ["a/2.jpg", "a/7.jpg"],
        ["b/30.jpg", "c/40.jpg"],
    ]
    assert found["distance"].is_monotonic_increasing
    assert len(found) == len({frozenset(pair) for pair in found[["file", "other_file"]].values.tolist()})
    groups[7] = groups[2]
    assert lookalikes(vectors, files, groups).file[0] == "b/30.jpg"
