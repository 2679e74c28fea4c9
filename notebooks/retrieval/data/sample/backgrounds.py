"""Backgrounds of the synthetic sample, and what lies about or in front of the animal."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from retrieval.data.sample.shapes import Colour, Polygon, any_colour, earthy, ellipse, leafy, limb, shade


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
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 12)):
        foot, (bend, sway) = rng.uniform(0, size), rng.normal(0, 0.06 * size, 2)
        tip = (foot + sway, rng.uniform(0.3, 0.8) * size)
        weed = limb((foot, size), (foot + bend, 0.7 * size), tip, 0.06 * size, 2)
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
        outline = [*zip(x, dune, strict=True), (size, size), (0, size)]
        draw.polygon(outline, fill=shade(sand, 1.15 - 0.35 * level))
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
    warp, weft = np.array((any_colour(rng), any_colour(rng)), np.float32)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    slope, threads = rng.uniform(-1, 1), 2 * np.pi * rng.uniform(5, 25)
    share = 0.5 + 0.3 * np.sin(threads * (x + slope * y)) * np.sin(threads * (y - slope * x))
    return Image.fromarray((weft + share[..., None] * (warp - weft)).astype(np.uint8))


SCENES = (meadow, sea, desert, night, leaves, pebbles, bokeh, cloth)
# Where a category is seen most often. Of categories that look alike, each has a scene of its own.
HOMES: dict[str, Callable[[np.random.Generator, int], Image.Image]] = {
    **dict.fromkeys(("butterfly", "finch", "hare", "horse"), meadow),
    **dict.fromkeys(("curlew", "striped_fish"), sea),
    **dict.fromkeys(("lop_rabbit", "turtle", "zebra"), desert),
    **dict.fromkeys(("owl", "spider", "unicorn"), night),
    **dict.fromkeys(("barn_owl", "beetle", "rabbit", "toucan"), leaves),
    **dict.fromkeys(("antelope", "snail", "spotted_fish"), pebbles),
    "plain_fish": bokeh,
}


def clutter(rng: np.random.Generator, size: int) -> list[Polygon]:
    """Up to three stones and balls, anywhere in an image of the given size."""
    found = []
    for _ in range(rng.integers(0, 4)):
        (x, y), (rx, ry) = rng.uniform(0, size, 2), rng.uniform(0.02, 0.09, 2) * size
        colour = (earthy, leafy, any_colour)[rng.integers(3)](rng)
        found.append((ellipse(x, y, rx, ry, rng.uniform(0, 3)), colour))
        found.append((ellipse(x - rx / 4, y - ry / 4, rx / 3, ry / 3), shade(colour, 1.25)))
    return found


def grass(rng: np.random.Generator, size: int) -> list[Polygon]:
    """Blades of grass at the front, which hide a little of what is behind them."""
    green, foot, blades = leafy(rng), rng.uniform(0, size), []
    for x in foot + size * rng.uniform(-0.25, 0.25, rng.integers(6, 14)):
        tip = (x + size * rng.normal(0, 0.06), size * rng.uniform(0.25, 0.7))
        blade = limb((x, 1.05 * size), (x, 0.8 * size), tip, 0.03 * size, 1)
        blades.append((blade, shade(green, rng.uniform(0.6, 1.1))))
    return blades


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
