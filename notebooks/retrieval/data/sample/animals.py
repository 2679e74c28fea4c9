"""Twelve invented animals, drawn as lists of coloured polygons, for the synthetic sample.

An animal fits into the square [-1, 1] x [-1, 1], x to the right and y downwards, and looks to the
right. `rng` decides everything that differs between two animals of a category.
"""

from collections.abc import Callable
from colorsys import hsv_to_rgb
from functools import partial

import numpy as np

Colour = tuple[int, int, int]
Polygon = tuple[np.ndarray, Colour]
Animal = list[Polygon]

WHITE, CREAM, BLACK, ORANGE = (250, 250, 245), (245, 228, 200), (30, 28, 32), (240, 150, 50)


def any_colour(rng: np.random.Generator) -> Colour:
    """A colour of any hue, neither pale nor dark."""
    return _hsv(rng.uniform(), rng.uniform(0.45, 0.8), rng.uniform(0.65, 0.95))


def earthy(rng: np.random.Generator) -> Colour:
    """A brown, sandy or grey colour, like fur."""
    return _hsv(rng.uniform(0.04, 0.12), rng.uniform(0.1, 0.6), rng.uniform(0.45, 0.9))


def leafy(rng: np.random.Generator) -> Colour:
    """A green, or the yellow or red of autumn."""
    return _hsv(rng.uniform(0.0, 0.38), rng.uniform(0.4, 0.75), rng.uniform(0.5, 0.85))


def shade(colour: Colour, factor: float) -> Colour:
    """A darker colour for factors below 1, a lighter one above."""
    red, green, blue = (int(np.clip(channel * factor, 0, 255)) for channel in colour)
    return red, green, blue


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> np.ndarray:
    """Outline `[40, 2]` of an ellipse around (x, y), turned clockwise by `turn` radians."""
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
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


def fish(rng: np.random.Generator, *, striped: bool) -> Animal:
    """A fish, striped or spotted. The two categories differ in nothing else."""
    body, marks = any_colour(rng), any_colour(rng)
    height, sway = rng.uniform(0.36, 0.52), rng.uniform(-0.15, 0.15)
    fin = shade(body, 0.75)
    tail = np.array([(-0.5, 0), (-0.95, -0.4 + sway), (-0.8, sway), (-0.95, 0.4 + sway)])
    back = np.array([(-0.35, -0.25), (-0.1, -height - 0.25), (0.3, -height - 0.1), (0.35, -0.25)])
    animal = [(tail, fin), (back, fin), (ellipse(0.05, 0, 0.65, height), body)]
    animal.append((ellipse(0.05, height * 0.45, 0.45, height * 0.45), shade(body, 1.15)))
    for x in np.linspace(-0.4, 0.35, rng.integers(3, 6)) + rng.uniform(-0.04, 0.04):
        room = height * np.sqrt(1 - ((x - 0.05) / 0.65) ** 2)
        if striped:
            animal.append((ellipse(x, 0, rng.uniform(0.035, 0.06), room * 0.9, 0.1), marks))
        else:
            spots = rng.uniform(-0.75, 0.75, 2) * room
            animal += [(ellipse(x, y, *rng.uniform(0.045, 0.09, 2)), marks) for y in spots]
    side = ellipse(0, 0.12, 0.2, 0.08, rng.uniform(0.3, 1.2))
    return [*animal, (side, fin), *_eye(0.48, -0.1, 0.09)]


def lagomorph(rng: np.random.Generator, *, ears: float) -> Animal:
    """A hare or a rabbit. The two categories differ only in the length of the ears."""
    fur = earthy(rng)
    ears, nod = ears * rng.uniform(0.88, 1.12), rng.uniform(-0.08, 0.08)
    belly = rng.uniform(0.38, 0.46)
    animal = [(ellipse(-0.7, 0.42, 0.14, 0.13), WHITE)]
    for lean in rng.uniform(-0.5, 0.3, 2):
        x, y = 0.36 + np.sin(lean) * ears, -0.45 + nod - np.cos(lean) * ears
        animal.append((ellipse(x, y, 0.1, ears, lean), shade(fur, 0.9)))
        animal.append((ellipse(x, y, 0.05, ears * 0.75, lean), (235, 170, 165)))
    animal += [(ellipse(-0.2, 0.3, 0.52, belly), fur), (ellipse(-0.36, 0.45, 0.3, 0.28), shade(fur, 0.88))]
    animal += [(ellipse(x, 0.72, 0.2, 0.09), shade(fur, 0.8)) for x in (-0.35, 0.22)]
    animal.append((ellipse(0.4, -0.25 + nod, 0.32, 0.28, 0.2), fur))
    animal.append((ellipse(0.55, -0.12 + nod, 0.16, 0.12), CREAM))
    animal += [(ellipse(0.69, -0.17 + nod, 0.04, 0.035), BLACK), *_eye(0.46, -0.32 + nod, 0.07)]
    return [(outline * 0.85 + (0, 0.25), colour) for outline, colour in animal]


def butterfly(rng: np.random.Generator) -> Animal:
    upper, lower = any_colour(rng), any_colour(rng)
    spread, animal = rng.uniform(0.65, 1.0), []
    bend = np.linspace(0, 1, 8)
    for side in (-1, 1):
        x = side * spread
        animal.append((ellipse(0.36 * x, 0.38, 0.32 * spread, 0.4, -side * 0.5), lower))
        animal.append((ellipse(0.5 * x, -0.28, 0.42 * spread, 0.5, side * 0.7), upper))
        animal.append((ellipse(0.58 * x, -0.35, 0.2 * spread, 0.24, side * 0.7), shade(upper, 1.35)))
        animal.append((ellipse(0.4 * x, 0.45, 0.12 * spread, 0.15), shade(lower, 0.6)))
        animal.append((stroke(side * 0.25 * bend**2, -0.45 - 0.45 * bend, 0.03), BLACK))
    return [*animal, (ellipse(0, 0.05, 0.09, 0.5), BLACK), (ellipse(0, -0.48, 0.1, 0.1), shade(BLACK, 2))]


def snail(rng: np.random.Generator) -> Animal:
    shell, skin = any_colour(rng), earthy(rng)
    reach, animal = rng.uniform(-0.05, 0.15), []
    for lean in (0.1, 0.3):
        top = 0.62 + lean + reach
        animal.append((stroke(np.linspace(0.62, top, 5), np.linspace(0.3, -0.35, 5), 0.06), skin))
        animal.append((ellipse(top, -0.38, 0.07, 0.07), BLACK))
    foot = [(-0.95, 0.62), (-0.6, 0.38), (0.3, 0.35), (0.5, 0.1), (0.75, 0.08), (0.88, 0.25), (0.8, 0.62)]
    animal.append((np.array(foot), skin))
    for ring in range(5):
        radius = 0.58 * 0.72**ring
        animal.append((ellipse(-0.15 + 0.04 * ring, 0.0, radius, radius), shade(shell, 0.75 + 0.12 * ring)))
    return animal


def owl(rng: np.random.Generator) -> Animal:
    feather, look = earthy(rng), rng.uniform(-0.05, 0.05)
    ears = [np.array([(s * 0.45, -0.55), (s * 0.5, -1), (s * 0.1, -0.75)]) for s in (-1, 1)]
    wings = [ellipse(s * 0.5, 0.2, 0.17, 0.5, s * rng.uniform(-0.4, 0.1)) for s in (-1, 1)]
    animal = [(ear, shade(feather, 0.8)) for ear in ears]
    animal += [(ellipse(0, 0.1, 0.55, 0.8), feather), (ellipse(0, 0.35, 0.36, 0.48), CREAM)]
    animal += [(wing, shade(feather, 0.7)) for wing in wings]
    for y in (0.15, 0.35, 0.55):
        animal += [(ellipse(x, y, 0.05, 0.07), shade(feather, 0.85)) for x in (-0.2, 0, 0.2)]
    for side in (-1, 1):
        animal.append((ellipse(side * 0.24, -0.38, 0.26, 0.26), CREAM))
        animal.append((ellipse(side * 0.24, -0.38, 0.17, 0.17), ORANGE))
        animal.append((ellipse(side * 0.24 + look, -0.38, 0.09, 0.09), BLACK))
        animal.append((ellipse(side * 0.2, 0.9, 0.13, 0.07), ORANGE))
    return [*animal, (np.array([(-0.08, -0.28), (0.08, -0.28), (0, -0.08)]), ORANGE)]


def turtle(rng: np.random.Generator) -> Animal:
    shell, skin = any_colour(rng), _hsv(rng.uniform(0.2, 0.4), 0.45, rng.uniform(0.5, 0.8))
    step, neck = rng.uniform(-0.12, 0.12), rng.uniform(-0.15, 0.1)
    animal = [(ellipse(x + step * s, 0.5, 0.14, 0.26, s * step), skin) for x, s in ((-0.45, 1), (0.4, -1))]
    animal += [(np.array([(-0.65, 0.3), (-1, 0.45), (-0.6, 0.45)]), skin)]
    animal += [(stroke(np.linspace(0.4, 0.8, 4), np.linspace(0.3, neck, 4), 0.22), skin)]
    animal += [(ellipse(0.8, neck, 0.2, 0.16), skin), *_eye(0.85, neck - 0.04, 0.05)]
    dome = ellipse(-0.05, 0.35, 0.68, 0.75)
    animal.append((np.minimum(dome, [9, 0.4]), shell))
    for x, y, size in ((-0.05, -0.15, 0.2), (-0.38, 0.12, 0.17), (0.28, 0.12, 0.17), (-0.05, 0.2, 0.15)):
        animal.append((ellipse(x, y, size, size * 0.9), shade(shell, 0.7)))
    return animal


def octopus(rng: np.random.Generator) -> Animal:
    skin, t = any_colour(rng), np.linspace(0, 1, 14)
    animal = []
    for x in rng.permutation(np.linspace(-0.9, 0.9, 8)):
        wave = 0.1 * np.sin(t * rng.uniform(4, 7) + rng.uniform(0, 6))
        y = 0.1 + 0.85 * t * rng.uniform(0.8, 1)
        arm = stroke(0.35 * x + (x - 0.35 * x) * t + wave, y, 0.2 - 0.15 * t)
        animal.append((arm, shade(skin, rng.uniform(0.75, 0.95))))
    animal += [(ellipse(0, -0.35, 0.45, 0.55), skin), (ellipse(-0.1, -0.55, 0.2, 0.2), shade(skin, 1.2))]
    return [*animal, *_eye(-0.17, -0.1, 0.11), *_eye(0.17, -0.1, 0.11)]


def snake(rng: np.random.Generator) -> Animal:
    skin, bands, t = any_colour(rng), any_colour(rng), np.linspace(0, 1, 60)
    x = -0.95 + 1.65 * t
    y = rng.uniform(0.25, 0.5) * np.sin(t * rng.uniform(7, 11) + rng.uniform(0, 6)) * (1 - 0.3 * t)
    width = 0.06 + 0.18 * np.minimum(1, 2.5 * t)
    animal = [(stroke(x, y, width), skin)]
    for part in (slice(start, start + 4) for start in range(6, 54, 8)):
        animal.append((stroke(x[part], y[part], width[part]), bands))
    tongue = np.array([(0.85, y[-1]), (1.05, y[-1] - 0.06), (1.0, y[-1]), (1.05, y[-1] + 0.06)])
    animal += [(tongue, (215, 50, 60)), (ellipse(0.74, y[-1], 0.2, 0.15), skin)]
    return [*animal, *_eye(0.79, y[-1] - 0.06, 0.05)]


def penguin(rng: np.random.Generator) -> Animal:
    coat = _hsv(rng.uniform(0.5, 0.75), rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.4))
    flap = rng.uniform(0.1, 0.8)
    animal = [(ellipse(x, 0.92, 0.2, 0.08), ORANGE) for x in (-0.15, 0.2)]
    animal += [(ellipse(-0.45, 0.15, 0.12, 0.42, flap), coat), (ellipse(0, 0.2, 0.48, 0.72), coat)]
    animal += [(ellipse(0.1, 0.3, 0.34, 0.58), WHITE), (ellipse(0.05, -0.58, 0.34, 0.33), coat)]
    animal.append((ellipse(0.16, -0.5, 0.2, 0.18), WHITE))
    animal.append((ellipse(0.42, 0.15, 0.11, 0.42, -flap), shade(coat, 1.3)))
    return [*animal, (np.array([(0.34, -0.6), (0.65, -0.5), (0.34, -0.43)]), ORANGE), *_eye(0.2, -0.62, 0.06)]


def hedgehog(rng: np.random.Generator) -> Animal:
    spines, face = earthy(rng), shade(CREAM, rng.uniform(0.8, 1))
    animal = [(ellipse(x, 0.55, 0.13, 0.1), shade(face, 0.7)) for x in (-0.4, 0.05, 0.45)]
    animal += [(np.array([(0.2, -0.2), (0.6, 0.0), (1, 0.35), (0.7, 0.52), (0.1, 0.5)]), face)]
    for layer, size in enumerate((1.0, 0.78, 0.55)):
        t = np.linspace(0.05, 2 * np.pi + 0.05, 68, endpoint=False)
        radius = size * np.where(np.arange(68) % 2, 0.62, rng.uniform(0.72, 0.84, 68))
        outline = np.stack([-0.18 + 0.95 * radius * np.cos(t), 0.1 + 0.75 * radius * np.sin(t)], axis=1)
        animal.append((outline, shade(spines, 0.6 + 0.2 * layer)))
    return [*animal, (ellipse(0.99, 0.36, 0.07, 0.06), BLACK), *_eye(0.68, 0.17, 0.06)]


ANIMALS: dict[str, Callable[[np.random.Generator], Animal]] = {
    "butterfly": butterfly,
    "hare": partial(lagomorph, ears=0.45),
    "hedgehog": hedgehog,
    "octopus": octopus,
    "owl": owl,
    "penguin": penguin,
    "rabbit": partial(lagomorph, ears=0.22),
    "snail": snail,
    "snake": snake,
    "spotted_fish": partial(fish, striped=False),
    "striped_fish": partial(fish, striped=True),
    "turtle": turtle,
}


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = (round(255 * channel) for channel in hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def _eye(x: float, y: float, size: float) -> Animal:
    pupil = ellipse(x + 0.2 * size, y, 0.55 * size, 0.55 * size)
    return [(ellipse(x, y, size, size), WHITE), (pupil, BLACK)]
