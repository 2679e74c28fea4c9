"""A synthetic stand-in for the real set: twelve invented animals, drawn in code.

Every step runs on it, with nothing downloaded. The animals vary in pose, colour, size, background,
light and sharpness. Two pairs of categories are hard to tell apart: striped and spotted fish, hare
and rabbit. Like the real set it has duplicates, one of them under two labels.
"""

import shutil
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from retrieval.data.sample.animals import ANIMALS, Animal, shade
from retrieval.data.sample.backgrounds import SCENES
from retrieval.errors import RetrievalError
from retrieval.progress import bar

# This file in a folder says that the images are drawn.
MARKER = ".synthetic-sample"
SIZE = 256
# Images are drawn larger and then shrunk, which makes edges smooth.
DRAWN_SIZE = 2 * SIZE
# (from, to): the last image of `to` becomes a copy of the first image of `from`.
EXACT_COPIES = (("butterfly", "butterfly"), ("owl", "owl"), ("striped_fish", "spotted_fish"))
NEAR_COPIES = (("snail", "snail"), ("turtle", "turtle"))


def generate(root: Path, *, seed: int = 0, images_per_category: int = 40) -> None:
    """Draws `<category>/<category>-NNNN.jpg` below `root`: 12 categories of 256 x 256 JPEGs.

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
        (unfinished / MARKER).write_text("Drawn by retrieval.sample, not photographed.\n", "utf-8")
        unfinished.rename(root)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise RetrievalError(
            f"{root} could not be drawn ({error.strerror}): "
            "make room and run `make` again, or `make DATA=folder` with images of your own"
        ) from None


def photograph(category: str, rng: np.random.Generator) -> Image.Image:
    """An RGB image, 256 x 256, of an animal of the given category."""
    scene = SCENES[rng.integers(len(SCENES))](rng, DRAWN_SIZE)
    animal = render(ANIMALS[category](rng), rng)
    shadow = animal.getchannel("A").filter(ImageFilter.GaussianBlur(10)).point(lambda alpha: alpha * 0.45)
    scene.paste(Image.new("RGB", scene.size, (20, 20, 30)), (10, 14), mask=shadow)
    scene.paste(animal, mask=animal)
    return _develop(scene.resize((SIZE, SIZE), Image.Resampling.LANCZOS), rng)


def render(animal: Animal, rng: np.random.Generator) -> Image.Image:
    """An animal in a random pose on a transparent RGBA image, 512 x 512."""
    layer = Image.new("RGBA", (DRAWN_SIZE, DRAWN_SIZE))
    draw = ImageDraw.Draw(layer)
    turn, scale = rng.normal(0, 0.2), rng.uniform(0.3, 0.46) * DRAWN_SIZE
    room = DRAWN_SIZE / 2 - scale
    centre = DRAWN_SIZE / 2 + rng.uniform(-room, room, 2)
    rotation = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
    stretch = scale * rng.uniform(0.85, 1.15, 2) * (rng.choice([-1, 1]), 1)
    for outline, colour in animal:
        points = (outline @ rotation) * stretch + centre
        draw.polygon(points.ravel().tolist(), fill=colour, outline=shade(colour, 0.65), width=3)
    return layer


def _develop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Uneven light, a random exposure and tint, a little blur and noise, as photographs have them."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    light = 1 + strength * (np.cos(angle) * x + np.sin(angle) * y)
    tint = rng.uniform(0.75, 1.15) * rng.uniform(0.92, 1.08, 3)
    sharp = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.2)))
    noise = rng.normal(0, rng.uniform(1, 7), (SIZE, SIZE, 1))
    exposed = np.asarray(sharp) * light[..., None] * tint + noise
    return Image.fromarray(np.clip(exposed, 0, 255).astype(np.uint8))


def _draw_all(root: Path, seed: int, images_per_category: int) -> None:
    numbered = list(product(enumerate(ANIMALS), range(1, images_per_category + 1)))
    for (code, category), number in bar(numbered, unit="image", desc="drawing"):
        (root / category).mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([seed, code, number])
        photograph(category, rng).save(_file(root, category, number), quality=int(rng.integers(80, 95)))


def _duplicate(root: Path, last: int) -> None:
    for source, copy in EXACT_COPIES:
        shutil.copyfile(_file(root, source, 1), _file(root, copy, last))
    for source, copy in NEAR_COPIES:
        with Image.open(_file(root, source, 1)) as image:
            image.save(_file(root, copy, last), quality=85)


def _file(root: Path, category: str, number: int) -> Path:
    return root / category / f"{category}-{number:04d}.jpg"
