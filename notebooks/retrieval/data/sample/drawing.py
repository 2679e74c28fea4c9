"""A synthetic stand-in for the real set: invented animals, drawn in code.

Every step runs on it, with nothing downloaded. It is meant to be about as hard as the photographs: most
categories are in groups that differ in one thing, and the animals vary in pose, colour, size, background,
light and sharpness; some are cut off by the frame or partly hidden. Like the real set it has duplicates,
some of them under two labels, and wrong labels.
"""

import os
import shutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from retrieval.data.sample.animals import ANIMALS
from retrieval.data.sample.backgrounds import HOMES, SCENES, clutter, grass
from retrieval.data.sample.shapes import Polygon, shade
from retrieval.errors import RetrievalError
from retrieval.progress import bar

# This file in a folder says that the images are drawn.
MARKER = ".synthetic-sample"
SIZE = 256
# Images are drawn larger and then shrunk, which makes edges smooth.
DRAWN_SIZE = 2 * SIZE
# The shares of images in the category's own scene (others are in any), with a second, small animal, and with
# grass in front.
AT_HOME, COMPANY, HIDDEN = 0.75, 0.15, 0.3
# (from, to, how): the last image of `to` becomes a copy of the first image of `from`.
COPIES = (
    ("butterfly", "butterfly", "exact"),
    ("owl", "owl", "exact"),
    ("striped_fish", "spotted_fish", "exact"),
    ("snail", "snail", "recompressed"),
    ("turtle", "turtle", "recompressed"),
    ("hare", "rabbit", "recompressed"),
    ("finch", "finch", "mirrored"),
    ("horse", "unicorn", "mirrored"),
)
# By category, the animal that its third image shows instead.
WRONG_LABELS = {
    "beetle": "spider",
    "butterfly": "snail",
    "curlew": "toucan",
    "finch": "hare",
    "plain_fish": "owl",
    "zebra": "horse",
}


def generate(root: Path, *, seed: int = 0, images_per_category: int = 30) -> None:
    """Draws `<category>/<category>-NNNN.jpg` below `root`: 20 categories of 256 x 256 JPEGs.

    The same seed gives the same bytes with the same versions of Pillow and NumPy. `root` must not
    exist yet, and appears once it is complete. A category needs at least 2 images.

    Raises:
        RetrievalError: the images cannot be written.
    """
    unfinished = root.with_name(f".{root.name}-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        _draw_all(unfinished, seed, images_per_category)
        _duplicate(unfinished, images_per_category)
        (unfinished / MARKER).write_text("Drawn by retrieval.data.sample, not photographed.\n", "utf-8")
        unfinished.rename(root)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise RetrievalError(
            f"{root} could not be drawn ({error.strerror}): "
            "make room and run `make` again, or `make DATA=folder` with images of your own"
        ) from None


def photograph(category: str, rng: np.random.Generator) -> Image.Image:
    """An RGB image, 256 x 256, of an animal of the given category."""
    at_home, anywhere = rng.uniform() < AT_HOME, SCENES[rng.integers(len(SCENES))]
    scene = (HOMES[category] if at_home else anywhere)(rng, DRAWN_SIZE)
    _paint(scene, clutter(rng, DRAWN_SIZE))
    if rng.uniform() < COMPANY:
        other = rng.choice([name for name in ANIMALS if name != category])
        _paint(scene, _posed(ANIMALS[other](rng), rng, scale=rng.uniform(0.1, 0.16), spread=0.85))
    animal = _posed(ANIMALS[category](rng), rng, scale=rng.uniform(0.32, 0.48), spread=1.0)
    _cast_shadow(scene, animal)
    _paint(scene, animal)
    if rng.uniform() < HIDDEN:
        _paint(scene, grass(rng, DRAWN_SIZE))
    return _develop(scene.reduce(DRAWN_SIZE // SIZE), rng)


def _posed(animal: list[Polygon], rng: np.random.Generator, *, scale: float, spread: float) -> list[Polygon]:
    """An animal turned, stretched or mirrored, and put somewhere in the image.

    `scale` is half its size as a share of the image's. With a `spread` of 1 it may touch the frame or reach
    a little beyond; with less it stays nearer to the middle.
    """
    turn, room = rng.normal(0, 0.2), spread * (0.5 - scale)
    centre = 0.5 + rng.uniform(-room, room, 2) + rng.normal(0, 0.02, 2)
    rotation = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
    stretch = scale * rng.uniform(0.85, 1.15, 2) * (rng.choice([-1, 1]), 1)
    return [(DRAWN_SIZE * ((outline @ rotation) * stretch + centre), colour) for outline, colour in animal]


def _paint(image: Image.Image, shapes: list[Polygon]) -> None:
    draw = ImageDraw.Draw(image)
    for outline, colour in shapes:
        draw.polygon(outline.ravel().tolist(), fill=colour, outline=shade(colour, 0.65), width=3)


def _cast_shadow(image: Image.Image, shapes: list[Polygon]) -> None:
    """Darkens, softly, what is behind the shapes, a little to the right of and below them."""
    small = Image.new("L", (SIZE // 2, SIZE // 2))
    draw = ImageDraw.Draw(small)
    for outline, _ in shapes:
        lower = (outline + np.array([10, 14])) * small.width / image.width
        draw.polygon(lower.ravel().tolist(), fill=115)
    shadow = small.filter(ImageFilter.GaussianBlur(2.5)).resize(image.size)
    image.paste((20, 20, 30), (0, 0, *image.size), mask=shadow)


def _develop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Uneven light, a random exposure and tint, a little blur and noise, as photographs have them."""
    across = np.linspace(-1, 1, SIZE, dtype=np.float32)[:, None]
    (right, down), tint = rng.uniform(-0.25, 0.25, 2), rng.uniform(0.75, 1.15) * rng.uniform(0.92, 1.08, 3)
    light = (1 + right * across + down * across[:, None]) * tint.astype(np.float32)
    sharp = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.2)))
    noise = rng.standard_normal((SIZE, SIZE, 1), np.float32) * np.float32(rng.uniform(1, 7))
    return Image.fromarray(np.clip(np.asarray(sharp) * light + noise, 0, 255).astype(np.uint8))


def _draw_all(root: Path, seed: int, images_per_category: int) -> None:
    for category in ANIMALS:
        (root / category).mkdir(parents=True)

    def draw(job: tuple[tuple[int, str], int]) -> None:
        (code, category), number = job
        rng = np.random.default_rng([seed, code, number])
        image = photograph(WRONG_LABELS.get(category, category) if number == 3 else category, rng)
        image.save(_file(root, category, number), quality=int(rng.integers(80, 95)))

    jobs = list(product(enumerate(ANIMALS), range(1, images_per_category + 1)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        deque(bar(pool.map(draw, jobs), "drawing", len(jobs), unit="image"), maxlen=0)


def _duplicate(root: Path, last: int) -> None:
    for source, target, how in COPIES:
        original, copy = _file(root, source, 1), _file(root, target, last)
        if how == "exact":
            shutil.copyfile(original, copy)
            continue
        with Image.open(original) as image:
            (ImageOps.mirror(image) if how == "mirrored" else image).save(copy, quality=85)


def _file(root: Path, category: str, number: int) -> Path:
    return root / category / f"{category}-{number:04d}.jpg"
