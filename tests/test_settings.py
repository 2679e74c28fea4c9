"""Settings come from the environment or from the last run; a value that makes no sense is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrieval import settings as module
from retrieval.errors import RetrievalError
from retrieval.settings import Settings, announce, encoder_file, kept, read_settings

NAMES = (
    *("DATA", "SEED", "SPLIT", "EPOCHS", "WEIGHTS", "PRECISION"),
    *("ENCODER", "ENCODER_SIZE", "ENCODER_RANGE"),
    "ARTIFACTS",
)


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a project in which nothing has run yet; no setting is given."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "PROJECT", tmp_path / "project")
    (tmp_path / "project" / "artifacts").mkdir(parents=True)
    return tmp_path / "project"


def test_defaults(project: Path) -> None:
    assert read_settings() == Settings(project / "data/sample", 0, "grouped", None, "", project / "artifacts")


@pytest.mark.parametrize("value", ["", "default"])
def test_an_empty_value_is_none_and_default_is_the_default(monkeypatch, value: str) -> None:
    default = read_settings()
    for name in NAMES[:-1]:
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ARTIFACTS", "")
    assert read_settings() == default


@pytest.mark.parametrize("name", ["mammals", "sample"])
def test_the_real_set_comes_before_the_sample(project: Path, name: str) -> None:
    (project / "data" / name).mkdir(parents=True)
    assert read_settings().data == project / "data" / name


def test_every_value_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    photos = tmp_path / "my photos"
    encoder = (str(tmp_path / "my.tflite"), "160", "-1..1")
    values = (str(photos), "7", "plain", "3", "imagenet", "int8", *encoder, str(tmp_path / "out"))
    for name, value in zip(NAMES, values, strict=True):
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.data == photos
    assert (settings.seed, settings.split, settings.epochs, settings.weights) == (7, "plain", 3, "imagenet")
    assert (settings.encoder, settings.encoder_size, settings.encoder_range) == (encoder[0], 160, "-1..1")
    assert (settings.precision, settings.artifacts) == ("int8", tmp_path / "out")
    assert str(photos) in str(settings) and "SEED       7" in str(settings)


def test_another_encoder_is_only_spoken_of_if_there_is_one(monkeypatch, project: Path) -> None:
    monkeypatch.setenv("ENCODER_SIZE", "160")
    assert "ENCODER" not in str(read_settings())
    monkeypatch.setenv("ENCODER", "my.keras")
    assert "ENCODER    my.keras\nENCODER_SIZE 160\nENCODER_RANGE 0..255" in str(read_settings())


@pytest.mark.parametrize("name", ["nowhere.tflite", "nowhere.keras", "there.h5", ""])
def test_an_encoder_is_a_file_of_one_of_two_kinds(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.h5").touch()
    with pytest.raises(RetrievalError, match=r"^ENCODER=\S+ is not a .tflite or .keras file: give [^\n]+$"):
        encoder_file(str(tmp_path / name))
    (tmp_path / "here.keras").touch()
    assert encoder_file(str(tmp_path / "here.keras")) == tmp_path / "here.keras" and not encoder_file("")


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", "~/photos")
    monkeypatch.setenv("WEIGHTS", "~/w.h5")
    monkeypatch.setenv("ENCODER", "~/e.keras")
    assert read_settings().data == tmp_path / "photos"
    assert read_settings().weights == str(tmp_path / "w.h5")
    assert read_settings().encoder == str(tmp_path / "e.keras")


def test_relative_paths_mean_the_same_from_everywhere(monkeypatch, project: Path, tmp_path: Path) -> None:
    """make starts in the project's folder, a notebook in its own."""
    monkeypatch.setenv("DATA", "data/photos")
    monkeypatch.setenv("ARTIFACTS", "out")
    monkeypatch.chdir(tmp_path)
    assert read_settings().data == project / "data" / "photos"
    assert read_settings().artifacts == project / "out"


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
        ("ENCODER_SIZE", "big"),
        ("ENCODER_RANGE", "0..2"),
    ],
)
def test_nonsense_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(RetrievalError, match=f"^{name}={value} is .*$"):
        read_settings()


def keep(artifacts: Path, text: str) -> None:
    (artifacts / "settings.json").write_text(text)


def test_what_is_not_given_is_as_the_last_run_had_it(monkeypatch, project: Path, tmp_path: Path) -> None:
    run = {
        "DATA": "my/photos",
        "SEED": "7",
        "SPLIT": "plain",
        "EPOCHS": "3",
        "WEIGHTS": str(tmp_path / "w.h5"),
    }
    keep(project / "artifacts", json.dumps(run))
    photos, weights = project / "my/photos", str(tmp_path / "w.h5")
    assert read_settings() == Settings(photos, 7, "plain", 3, weights, project / "artifacts")
    assert read_settings().changed() == run
    monkeypatch.setenv("SEED", "0")
    monkeypatch.setenv("EPOCHS", "default")
    assert read_settings() == Settings(photos, 0, "plain", None, weights, project / "artifacts")
    assert kept(project / "artifacts").seed == 7
    monkeypatch.setenv("ARTIFACTS", "others")
    assert read_settings() == Settings(project / "data/sample", 0, "grouped", None, "", project / "others")


def test_paths_inside_the_project_move_with_it(monkeypatch, project: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA", str(project / "data" / "photos"))
    keep(project / "artifacts", json.dumps(read_settings().changed()))
    monkeypatch.delenv("DATA")
    (tmp_path / "project").rename(tmp_path / "moved")
    monkeypatch.setattr(module, "PROJECT", tmp_path / "moved")
    assert read_settings().data == tmp_path / "moved" / "data" / "photos"


def test_one_line_says_which_settings_are_not_the_defaults(monkeypatch, capsys) -> None:
    announce(read_settings())
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("DATA", "/my\nphotos")
    monkeypatch.setenv("SEED", "1")
    announce(read_settings())
    line = capsys.readouterr().out
    assert "photos" in line and "SEED=1" in line and line.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"SEED": "x"}', '{"EPOCHS": null}', '{"SPLIT": {}}', "\0"]
)
def test_damaged_settings_are_one_line(project: Path, text: str) -> None:
    keep(project / "artifacts", text)
    with pytest.raises(RetrievalError, match=r"^[^\n]*(settings.json is damaged: delete it| is )[^\n]*$"):
        read_settings()
