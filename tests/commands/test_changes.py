"""The file that tells make whether anything has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.artifacts.locks import locked
from retrieval.artifacts.store import open_store, start
from retrieval.commands.changes import stamp
from retrieval.errors import RetrievalError
from retrieval.settings import NAMES, PROJECT, Settings, read_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A stamped project, its stamp some time ago."""
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "data" / name / f"{number}.jpg").write_text(name)
    settings = Settings(tmp_path / "data", 0, "grouped", None, "", tmp_path / "artifacts")
    open_store(settings).save("dataset.json", {})
    aged(settings)
    return settings


def aged(settings: Settings) -> None:
    stamp(settings)
    os.utime(settings.artifacts / "settings.txt", (1, 1))


def is_new(settings: Settings) -> bool:
    """Whether make sees a change. Only looking says the same, and writes nothing."""
    path = settings.artifacts / "settings.txt"
    before = path.read_bytes(), path.stat().st_mtime
    looked = stamp(settings, write=False)
    assert (path.read_bytes(), path.stat().st_mtime) == before
    stamp(settings)
    assert looked is (path.stat().st_mtime > 1)
    return looked


def test_nothing_changed(settings: Settings) -> None:
    assert not is_new(settings)


@pytest.mark.parametrize(
    "change",
    [
        *({"seed": 1}, {"split": "plain"}, {"epochs": 2}, {"weights": "imagenet"}),
        {"encoder": "/my.keras", "encoder_size": 160},
    ],
)
def test_another_setting(settings: Settings, change: dict) -> None:
    assert is_new(replace(settings, **change))


def test_more_images(settings: Settings) -> None:
    (settings.data / "cat" / "new.jpg").touch()
    assert is_new(settings)


def test_an_image_of_another_size(settings: Settings) -> None:
    (settings.data / "cat" / "0.jpg").write_text("another cat")
    assert is_new(settings)


@pytest.mark.parametrize("name", ["weights", "encoder"])
def test_something_else_in_the_same_file(settings: Settings, tmp_path: Path, name: str) -> None:
    file = tmp_path / "my.keras"
    file.write_text("old")
    settings = replace(settings, **{name: str(file)})
    aged(settings)
    assert not is_new(settings)
    file.write_text("new")
    assert is_new(settings)


def test_a_lost_artifact_is_made_again(settings: Settings) -> None:
    (settings.artifacts / "dataset.json").unlink()
    assert is_new(settings)


def test_the_command_waits_for_a_run_to_end(settings: Settings) -> None:
    environment = {"DATA": str(settings.data), "ARTIFACTS": str(settings.artifacts)}
    line = f"settings that hold until others are given: DATA={settings.data}\n"
    with locked(settings.artifacts, "run", "running 03_siamese_encoders"):
        process = subprocess.Popen(
            [sys.executable, "-m", "retrieval.commands.changes"],
            cwd=PROJECT / "notebooks",
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == line
        assert process.stdout.readline().endswith("running 03_siamese_encoders\n")
    assert process.communicate()[0] == "" and process.returncode == 0


def test_a_plain_make_goes_on_with_the_settings_of_the_last_run(settings: Settings, monkeypatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARTIFACTS", str(settings.artifacts))
    start(settings)
    assert not is_new(read_settings())
    start(replace(settings, seed=1))
    assert is_new(read_settings()) and read_settings().seed == 1


def test_no_data_is_one_line(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="nowhere is not a folder"):
        stamp(replace(settings, data=tmp_path / "nowhere"))
