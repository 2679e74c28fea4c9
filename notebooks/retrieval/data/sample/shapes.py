"""Colours and outlines that the animals and backgrounds of the synthetic sample are made of."""

from colorsys import hsv_to_rgb

import numpy as np

Colour = tuple[int, int, int]
Polygon = tuple[np.ndarray, Colour]
Point = tuple[float, float]

WHITE, CREAM, BLACK, ORANGE = (250, 250, 245), (245, 228, 200), (30, 28, 32), (240, 150, 50)


def any_colour(rng: np.random.Generator) -> Colour:
    """A colour of any hue, neither pale nor dark."""
    return hsv(rng.uniform(), rng.uniform(0.45, 0.8), rng.uniform(0.65, 0.95))


def earthy(rng: np.random.Generator) -> Colour:
    """A brown, sandy or grey colour, like fur."""
    return hsv(rng.uniform(0.04, 0.12), rng.uniform(0.1, 0.6), rng.uniform(0.45, 0.9))


def leafy(rng: np.random.Generator) -> Colour:
    """A green, or the yellow or red of autumn."""
    return hsv(rng.uniform(0.0, 0.38), rng.uniform(0.4, 0.75), rng.uniform(0.5, 0.85))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from its hue, saturation and value, each in [0, 1]."""
    red, green, blue = (round(255 * channel) for channel in hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """A darker colour for factors below 1, a lighter one above."""
    red, green, blue = (min(255, int(channel * factor)) for channel in colour)
    return red, green, blue


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> np.ndarray:
    """Outline `[32, 2]` of an ellipse around (x, y), turned clockwise by `turn` radians."""
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    along, across = rx * np.cos(t), ry * np.sin(t)
    cosine, sine = np.cos(turn), np.sin(turn)
    return np.stack([x + along * cosine - across * sine, y + along * sine + across * cosine], axis=1)


def stroke(x: np.ndarray, y: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """Outline `[2 n, 2]` of a line through n points; `width` may differ from point to point."""
    path = np.stack([x, y], axis=1)
    direction = np.gradient(path, axis=0)
    normal = direction[:, ::-1] * (-1, 1) / np.linalg.norm(direction, axis=1, keepdims=True)
    offset = normal * np.broadcast_to(width, len(path))[:, None] / 2
    return np.concatenate([path + offset, (path - offset)[::-1]])


def limb(start: Point, bend: Point, end: Point, width: float, tip: float | None = None) -> np.ndarray:
    """Outline of a line from `start` to `end`, bent towards `bend`, of `width` or narrowing to `tip`."""
    t = np.linspace(0, 1, 10)[:, None]
    path = (1 - t) ** 2 * start + 2 * t * (1 - t) * np.array(bend) + t**2 * end
    return stroke(path[:, 0], path[:, 1], np.linspace(width, width if tip is None else tip, len(t)))


def eye(x: float, y: float, size: float) -> list[Polygon]:
    """A white eye with a black pupil that looks to the right."""
    pupil = ellipse(x + 0.2 * size, y, 0.55 * size, 0.55 * size)
    return [(ellipse(x, y, size, size), WHITE), (pupil, BLACK)]
