"""Backgrounds of the synthetic sample: square images, drawn without regard to the animal."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from retrieval.data.sample.animals import Colour, any_colour, earthy, ellipse, leafy, shade, stroke


def gradient(top: Colour, bottom: Colour, size: int) -> Image.Image:
    """A vertical gradient between two colours."""
    t = np.linspace(0, 1, size)[:, None, None]
    rows = (1 - t) * np.array(top) + t * np.array(bottom)
    return Image.fromarray(np.broadcast_to(rows, (size, size, 3)).astype(np.uint8))


def meadow(rng: np.random.Generator, size: int) -> Image.Image:
    image = gradient((120, 180, 235), (225, 240, 250), size)
    draw, x = ImageDraw.Draw(image), np.linspace(0, size, 50)
    green = shade((90, 160, 70), rng.uniform(0.7, 1.2))
    for level, light in ((0.45, 1.15), (0.6, 1.0), (0.75, 0.85)):
        hill = size * (level + 0.08 * np.sin(x / size * rng.uniform(3, 8) + rng.uniform(0, 6)))
        draw.polygon([*zip(x, hill, strict=True), (size, size), (0, size)], fill=shade(green, light))
    for _ in range(rng.integers(20, 120)):
        foot, y, height = rng.uniform(0, size), rng.uniform(0.6, 1.05) * size, rng.uniform(0.05, 0.2) * size
        blade = [(foot - 3, y), (foot + rng.uniform(-20, 20), y - height), (foot + 3, y)]
        draw.polygon(blade, fill=shade(green, rng.uniform(0.6, 1.3)))
    return image


def sea(rng: np.random.Generator, size: int) -> Image.Image:
    image = gradient((70, 170, 200), shade((20, 60, 110), rng.uniform(0.6, 1.4)), size)
    draw, t = ImageDraw.Draw(image), np.linspace(0, 1, 20)
    for _ in range(rng.integers(3, 12)):
        x = rng.uniform(0, size) + 0.04 * size * np.sin(t * 8 + rng.uniform(0, 6))
        weed = stroke(x, size * (1 - t * rng.uniform(0.2, 0.7)), 0.06 * size * (1.05 - t))
        _fill(draw, weed, shade((40, 120, 80), rng.uniform(0.7, 1.3)))
    for _ in range(rng.integers(5, 40)):
        (x, y), radius = rng.uniform(0, size, 2), rng.uniform(0.005, 0.03) * size
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=(200, 230, 240), width=3)
    return image


def desert(rng: np.random.Generator, size: int) -> Image.Image:
    image = gradient((250, 215, 160), (255, 240, 215), size)
    draw, x = ImageDraw.Draw(image), np.linspace(0, size, 50)
    sand = shade((225, 175, 110), rng.uniform(0.8, 1.1))
    for level in np.linspace(0.35, 0.95, rng.integers(3, 7)):
        dune = size * (level + 0.06 * np.sin(x / size * rng.uniform(2, 6) + rng.uniform(0, 6)))
        colour = shade(sand, 1.15 - 0.35 * level)
        draw.polygon([*zip(x, dune, strict=True), (size, size), (0, size)], fill=colour)
    return image


def night(rng: np.random.Generator, size: int) -> Image.Image:
    image = gradient((15, 18, 45), shade((70, 60, 120), rng.uniform(0.6, 1.4)), size)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(30, 150)):
        (x, y), radius = rng.uniform(0, size, 2), rng.uniform(0.5, 3)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(240, 240, 215))
    x, y = rng.uniform(0.1, 0.9, 2) * size
    _fill(draw, ellipse(x, y, 0.08 * size, 0.08 * size), (250, 245, 210))
    return image


def leaves(rng: np.random.Generator, size: int) -> Image.Image:
    return _scattered(rng, size, colour=leafy(rng), flatness=0.35)


def pebbles(rng: np.random.Generator, size: int) -> Image.Image:
    return _scattered(rng, size, colour=earthy(rng), flatness=0.8)


def bokeh(rng: np.random.Generator, size: int) -> Image.Image:
    image = gradient(shade(any_colour(rng), 0.6), shade(any_colour(rng), 0.8), size)
    lights = image.copy()
    draw = ImageDraw.Draw(lights)
    for _ in range(rng.integers(8, 30)):
        radius = rng.uniform(0.03, 0.12) * size
        x, y = rng.uniform(0, size, 2)
        _fill(draw, ellipse(x, y, radius, radius), shade(any_colour(rng), 1.3))
    return Image.blend(image, lights, 0.5).filter(ImageFilter.GaussianBlur(4))


def cloth(rng: np.random.Generator, size: int) -> Image.Image:
    warp, weft = np.array(any_colour(rng)), np.array(any_colour(rng))
    y, x = np.mgrid[:size, :size] / size
    slope, turns = rng.uniform(-1, 1), 2 * np.pi * rng.uniform(5, 25)
    share = 0.5 + 0.3 * np.sin(turns * (x + slope * y)) * np.sin(turns * (y - slope * x))
    return Image.fromarray((share[..., None] * warp + (1 - share[..., None]) * weft).astype(np.uint8))


SCENES = (meadow, sea, desert, night, leaves, pebbles, bokeh, cloth)


def _scattered(rng: np.random.Generator, size: int, *, colour: Colour, flatness: float) -> Image.Image:
    image = Image.new("RGB", (size, size), shade(colour, 0.5))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(120, 300)):
        length = rng.uniform(0.03, 0.1) * size
        x, y = rng.uniform(0, size, 2)
        outline = ellipse(x, y, length, flatness * length, rng.uniform(0, 6))
        _fill(draw, outline, shade(colour, rng.uniform(0.5, 1.25)))
    return image


def _fill(draw: ImageDraw.ImageDraw, outline: np.ndarray, colour: Colour) -> None:
    draw.polygon(outline.ravel().tolist(), fill=colour)
