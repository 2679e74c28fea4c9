"""All notebooks on a data set so small that they run in seconds, with random weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import TextIO

import numpy as np
from PIL import Image

from retrieval.data.dataset import category_of, find_images
from retrieval.data.images import load_image
from retrieval.data.parts import Part
from retrieval.features.normalising import l2_normalise
from retrieval.search.model import Model
from retrieval.search.retriever import Retriever
from retrieval.settings import PROJECT
from retrieval.views import judging

STEPS = [
    "01_split",
    "02_mobilenetv2_features",
    "03_siamese_encoders",
    "04_kdtree_retrieval",
    "05_feature_fusion",
    "06_rocchio_feedback",
]
MORE = [
    "more/a_protocol",
    "more/b_tree_or_exact",
    "more/c_fine_tuning",
    "more/d_stronger_encoder",
    "more/e_feedback",
    "more/f_open_set",
]
# With its sub-folder, the path of this category reads <script>alert(1)</script>.
HOSTILE, BELOW = "<script>alert(1)<", "script>"
# The others look like a missing value, a number and a formula.
COLOURS = {"NA": (130, 80, 30), "1": (40, 90, 160), "a_$5_$6": (210, 110, 30), HOSTILE: (60, 140, 50)}
IMAGES = 10
# In the name of every file; a terminal that is given it writes from right to left.
CONTROL = "\u202e"


def committed(step: str) -> Path:
    return PROJECT / "notebooks" / f"{step}.ipynb"


def prepare(folder: Path) -> None:
    """The data and weights that `command` uses."""
    draw(folder / "photos")
    save_random_weights(folder / "random.weights.h5")


def draw(folder: Path) -> None:
    """Blurred noise in each category's own colour: no two images alike, categories easy to tell."""
    rng = np.random.default_rng(0)
    for category, colour in COLOURS.items():
        own = folder / category / (BELOW if category == HOSTILE else "")
        own.mkdir(parents=True)
        for number in range(IMAGES):
            noise = rng.integers(-60, 60, (12, 12, 3)) + colour
            image = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize(
                (72, 72), Image.Resampling.BICUBIC
            )
            image.save(own / f"{category}-{CONTROL}{number}.png")


def collection(root: Path) -> judging.Collection:
    """The drawn images, even ones as gallery, odd ones as queries; coarse pixels are their features."""
    files = np.array(find_images(root))
    features = np.array([load_image(root / file, 4).ravel() for file in files], np.float32)
    categories, numbers = np.array([category_of(file) for file in files]), np.arange(len(files))
    images = Part(features, categories, files, groups=numbers)
    return judging.Collection(root, images.take(numbers[::2]), images.take(numbers[1::2]))


class Coarse(Model):
    """A model without an encoder: coarse pixels are its features."""

    def encode(self, source: Path | bytes) -> np.ndarray:
        return l2_normalise(load_image(source, 4).reshape(1, -1) - np.float32(128))[0]


def retriever(root: Path) -> Retriever:
    """All drawn images as a gallery in memory."""
    files, none = find_images(root), np.empty(0, np.float32)
    model = Coarse(b"", np.linspace(0, 1, 21, dtype=np.float32), None, none, {"name": "coarse"})
    rows = np.stack([model.encode(root / file) for file in files])
    return Retriever(root, model, root, files, rows, [])


def save_random_weights(path: Path, *, like: Path | None = None) -> None:
    """Of MobileNetV2, with batch statistics of the images in the folder `like`.

    Without these, features shrink to what 8 bits cannot tell apart.
    """
    import keras

    keras.utils.set_random_seed(0)
    encoder = keras.applications.MobileNetV2(
        input_shape=(None, None, 3), include_top=False, pooling="avg", weights=None
    )
    if like:
        for layer in encoder.layers:
            layer.momentum = 0.0
        images = np.stack([load_image(like / file, 224) for file in find_images(like)[::2]])
        encoder(images / np.float32(127.5) - 1, training=True)
    encoder.save_weights(path)


def environment(folder: Path) -> dict[str, str]:
    """The settings for the data and weights beside the artifacts in `folder`."""
    return {
        "PYTHONPATH": str(PROJECT / "notebooks"),
        "DATA": str(folder / "photos"),
        "WEIGHTS": str(folder / "random.weights.h5"),
        "ENCODER": "",
        "ARTIFACTS": str(folder / "artifacts"),
        "EPOCHS": "1",
        "SEED": "0",
        "SPLIT": "grouped",
    }


def start(*steps: str, folder: Path, output: int | TextIO = PIPE, **settings: str) -> subprocess.Popen:
    """Executes notebooks with the data and weights beside the artifacts in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", "retrieval.commands.run", *map(committed, steps)],
        env=os.environ | environment(folder) | settings,
        stdout=output,
        stderr=output,
        text=True,
    )


def run(*steps: str, folder: Path, **settings: str) -> subprocess.CompletedProcess:
    """As `start`, waited for."""
    process = start(*steps, folder=folder, **settings)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
