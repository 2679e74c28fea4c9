"""Settings come from the environment, and a value that makes no sense is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.errors import RetrievalError
from retrieval.settings import PROJECT, read_settings

NAMES = ("DATA", "SEED", "SPLIT", "EPOCHS", "WEIGHTS", "ARTIFACTS")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_defaults() -> None:
    settings = read_settings()
    assert settings.data.parent == PROJECT / "data" or (PROJECT / "data/mammals").is_symlink()
    assert (settings.seed, settings.split, settings.epochs, settings.weights) == (0, "grouped", None, "")
    assert settings.artifacts == (PROJECT / "artifacts").resolve()


def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    default = read_settings()
    for name in NAMES:
        monkeypatch.setenv(name, "")
    assert read_settings() == default


@pytest.mark.parametrize("present", [True, False])
def test_the_real_set_comes_before_the_sample(monkeypatch, tmp_path: Path, present: bool) -> None:
    monkeypatch.setattr("retrieval.settings.PROJECT", tmp_path)
    if present:
        (tmp_path / "data" / "mammals").mkdir(parents=True)
    assert read_settings().data == tmp_path / "data" / ("mammals" if present else "sample")


def test_every_value_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    photos = tmp_path / "my photos"
    values = (str(photos), "7", "plain", "3", "imagenet", str(tmp_path / "out"))
    for name, value in zip(NAMES, values, strict=True):
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.data == photos
    assert (settings.seed, settings.split, settings.epochs, settings.weights) == (7, "plain", 3, "imagenet")
    assert settings.artifacts == tmp_path / "out"
    assert str(photos) in str(settings) and "SEED       7" in str(settings)


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", "~/photos")
    monkeypatch.setenv("WEIGHTS", "~/w.h5")
    assert read_settings().data == tmp_path / "photos"
    assert read_settings().weights == str(tmp_path / "w.h5")


def test_relative_paths_mean_the_same_from_everywhere(monkeypatch, tmp_path: Path) -> None:
    """make starts in the project's folder, a notebook in its own."""
    monkeypatch.setenv("DATA", "data/photos")
    monkeypatch.setenv("ARTIFACTS", "out")
    monkeypatch.chdir(tmp_path)
    assert read_settings().data == PROJECT / "data" / "photos"
    assert read_settings().artifacts == PROJECT / "out"


@pytest.mark.parametrize(
    "name, value",
    [
        ("SEED", "-1"),
        ("SEED", "1.5"),
        ("SEED", "x"),
        ("SEED", str(2**32)),
        ("EPOCHS", "0"),
        ("EPOCHS", "many"),
        ("SPLIT", "random"),
    ],
)
def test_nonsense_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(RetrievalError, match=f"^{name}={value} is .*$"):
        read_settings()
