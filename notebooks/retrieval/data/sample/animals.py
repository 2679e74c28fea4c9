"""Twenty invented animals, drawn as lists of coloured polygons, for the synthetic sample.

Most are in groups that differ in one thing: the pattern, the ears, the beak, the horns, the number of
legs, tufts. An animal fits into the square [-1, 1] x [-1, 1], x to the right and y downwards, and looks
to the right. `rng` decides everything that differs between two animals of a category.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from retrieval.data.sample.shapes import (
    BLACK,
    CREAM,
    ORANGE,
    WHITE,
    Polygon,
    any_colour,
    earthy,
    ellipse,
    eye,
    hsv,
    limb,
    shade,
)

Animal = list[Polygon]


def fish(rng: np.random.Generator, *, pattern: str) -> Animal:
    """A fish. The categories differ only in the pattern: plain, spotted or striped."""
    body, marks, height = any_colour(rng), any_colour(rng), rng.uniform(0.34, 0.52)
    fin, sway = shade(body, 0.75), rng.uniform(-0.15, 0.15)
    tail = np.array([(-0.5, 0), (-0.95, -0.4 + sway), (-0.8, sway), (-0.95, 0.4 + sway)])
    back = np.array([(-0.35, -0.25), (-0.1, -height - 0.25), (0.3, -height - 0.1), (0.35, -0.25)])
    animal = [(tail, fin), (back, fin), (ellipse(0.05, 0, 0.65, height), body)]
    animal.append((ellipse(0.05, height * 0.45, 0.45, height * 0.45), shade(body, 1.15)))
    for x in np.linspace(-0.4, 0.3, rng.integers(3, 6)) + rng.uniform(-0.04, 0.04):
        room = height * np.sqrt(1 - ((x - 0.05) / 0.65) ** 2)
        if pattern == "striped":
            animal.append((ellipse(x, 0, rng.uniform(0.035, 0.06), room * 0.9, 0.1), marks))
        elif pattern == "spotted":
            spots = rng.uniform(-0.75, 0.75, 2) * room
            animal += [(ellipse(x, y, *rng.uniform(0.045, 0.09, 2)), marks) for y in spots]
    side = ellipse(0, 0.12, 0.2, 0.08, rng.uniform(0.3, 1.2))
    return [*animal, (side, fin), *eye(0.48, -0.1, 0.09)]


def lagomorph(rng: np.random.Generator, *, ears: float, lean: float = -0.1) -> Animal:
    """A hare or rabbit. The categories differ only in the ears: their length, and how they hang."""
    fur, belly, nod = earthy(rng), rng.uniform(0.38, 0.46), rng.uniform(-0.08, 0.08)
    ears *= rng.uniform(0.88, 1.12)
    animal = [(ellipse(-0.7, 0.42, 0.14, 0.13), WHITE)]
    animal += [(ellipse(-0.2, 0.3, 0.52, belly), fur), (ellipse(-0.36, 0.45, 0.3, 0.28), shade(fur, 0.88))]
    animal += [(ellipse(x, 0.72, 0.2, 0.09), shade(fur, 0.8)) for x in (-0.35, 0.22)]
    animal.append((ellipse(0.4, -0.25 + nod, 0.32, 0.28, 0.2), fur))
    for angle in lean + rng.uniform(-0.4, 0.4, 2):
        x, y = 0.34 + np.sin(angle) * ears, -0.42 + nod - np.cos(angle) * ears
        animal.append((ellipse(x, y, 0.1, ears, angle), shade(fur, 0.9)))
        animal.append((ellipse(x, y, 0.05, ears * 0.75, angle), (235, 170, 165)))
    animal += [(ellipse(0.55, -0.12 + nod, 0.16, 0.12), CREAM)]
    animal += [(ellipse(0.69, -0.17 + nod, 0.04, 0.035), BLACK), *eye(0.5, -0.3 + nod, 0.07)]
    return [(outline * 0.85 + (0, 0.25), colour) for outline, colour in animal]


def bird(rng: np.random.Generator, *, length: float, depth: float, hook: float) -> Animal:
    """A bird in profile. The categories differ only in the beak."""
    coat, bill, nod = any_colour(rng), shade(ORANGE, rng.uniform(0.6, 1.1)), rng.uniform(-0.06, 0.06)
    breast, stride, cock = shade(any_colour(rng), 1.2), rng.uniform(0.05, 0.2), rng.uniform(-0.25, 0.25)
    animal = [(limb((-0.4, 0.2), (-0.6, 0.25), (-0.95, 0.25 + cock), 0.16, 0.26), shade(coat, 0.7))]
    for x in (-0.05 - stride, -0.05 + stride):
        animal.append((limb((x, 0.5), (x - 0.05, 0.7), (x, 0.92), 0.05), bill))
        animal.append((ellipse(x + 0.06, 0.93, 0.11, 0.03), bill))
    beak = limb(
        (0.5, -0.45 + nod), (0.5 + length * 0.6, -0.45 + nod), (0.5 + length, -0.42 + nod + hook), depth, 0.03
    )
    animal += [(beak, bill), (limb((0.1, 0), (0.2, -0.2), (0.32, -0.4 + nod), 0.42, 0.3), coat)]
    animal += [(ellipse(-0.1, 0.2, 0.5, 0.38, rng.uniform(-0.3, 0)), coat)]
    animal += [(ellipse(0.08, 0.28, 0.26, 0.26), breast), (ellipse(0.36, -0.45 + nod, 0.24, 0.22), coat)]
    wing = ellipse(-0.2, 0.12, 0.36, 0.17, rng.uniform(-0.2, 0.4))
    return [*animal, (wing, shade(coat, 0.8)), *eye(0.43, -0.52 + nod, 0.06)]


def hoofed(rng: np.random.Generator, *, horns: int = 0, striped: bool = False) -> Animal:
    """An animal with hooves. The categories differ only in the number of horns, or in stripes."""
    coat, mane = earthy(rng), shade(earthy(rng), 0.6)
    nod, walk = rng.uniform(-0.1, 0.15), rng.uniform(-0.16, 0.16)
    animal = [(limb((-0.6, -0.05), (-0.85, 0), (-0.85, rng.uniform(0.2, 0.5)), 0.06, 0.16), mane)]
    for x, step, light in ((-0.4, walk, 0.75), (0.25, -walk, 0.75), (-0.5, -walk, 0.95), (0.32, walk, 0.95)):
        animal.append((limb((x, 0.2), (x + 0.06, 0.5), (x + step, 0.88), 0.17, 0.09), shade(coat, light)))
        animal.append((ellipse(x + step + 0.03, 0.9, 0.08, 0.05), BLACK))
    animal.append((limb((0.28, 0.1), (0.4, -0.25), (0.62, -0.5 + nod), 0.4, 0.22), coat))
    animal.append((limb((0.12, -0.05), (0.3, -0.35), (0.5, -0.66 + nod), 0.1, 0.12), mane))
    animal.append((ellipse(-0.1, 0.1, 0.55, rng.uniform(0.26, 0.34)), coat))
    for x in np.linspace(-0.5, 0.3, rng.integers(5, 8)) if striped else ():
        animal.append((limb((x, -0.13), (x + 0.07, 0.1), (x - 0.02, 0.32), 0.05, 0.03), shade(mane, 0.6)))
    animal += [(ellipse(0.56, -0.7 + nod, 0.05, 0.13, 0.1), shade(coat, 0.85))]
    for x in (0.7, 0.55)[:horns]:
        tip = (x + rng.uniform(0.05, 0.2), -1 + nod / 2)
        animal.append((limb((x, -0.6 + nod), (x, -0.85 + nod), tip, 0.11, 0.02), CREAM))
    animal += [
        (ellipse(0.72, -0.46 + nod, 0.24, 0.14, 0.5), coat),
        (ellipse(0.85, -0.36 + nod, 0.1, 0.1), shade(coat, 0.8)),
    ]
    return [*animal, *eye(0.66, -0.54 + nod, 0.05)]


def crawler(rng: np.random.Generator, *, pairs: int) -> Animal:
    """An insect or a spider from above. The categories differ only in the number of legs."""
    shell, animal = any_colour(rng), []
    for side in (-1, 1):
        for x in np.linspace(-0.3, 0.42, pairs) + rng.uniform(-0.04, 0.04, pairs):
            end = (x * 1.9 + rng.uniform(-0.12, 0.12), side * rng.uniform(0.72, 0.92))
            bend = (x * 1.3 + rng.uniform(-0.1, 0.1), side * 0.75)
            animal.append((limb((x, side * 0.1), bend, end, 0.09, 0.04), shade(shell, 0.5)))
    animal += [(ellipse(-0.3, 0, 0.5, rng.uniform(0.36, 0.46)), shell)]
    animal += [
        (ellipse(-0.25, 0.0, 0.3, 0.22), shade(shell, 1.2)),
        (ellipse(0.3, 0, 0.28, 0.24), shade(shell, 0.8)),
    ]
    animal += [(ellipse(0.6, 0, 0.17, 0.17), shade(shell, 0.65))]
    return [*animal, *eye(0.66, -0.09, 0.06), *eye(0.66, 0.09, 0.06)]


def owl(rng: np.random.Generator, *, tufts: bool) -> Animal:
    """An owl from the front. The categories differ only in the tufts on the head."""
    feather, look, tilt = earthy(rng), rng.uniform(-0.05, 0.05), rng.uniform(-0.06, 0.06)
    animal = [(ellipse(0, 0.1, 0.55, 0.8), feather), (ellipse(0, 0.35, 0.36, 0.48), CREAM)]
    if tufts:
        for s in (-1, 1):
            tuft = [(s * 0.46, -0.45), (s * 0.5 + tilt, -rng.uniform(0.9, 1)), (s * 0.1, -0.68)]
            animal.insert(0, (np.array(tuft), shade(feather, 0.8)))
    for s in (-1, 1):
        wing = ellipse(s * 0.5, 0.2, 0.17, 0.5, s * rng.uniform(-0.4, 0.1))
        animal += [(wing, shade(feather, 0.7)), (ellipse(s * 0.2, 0.9, 0.13, 0.07), ORANGE)]
    for y in (0.15, 0.35, 0.55):
        animal += [(ellipse(x, y, 0.05, 0.07), shade(feather, 0.85)) for x in (-0.2, 0, 0.2)]
    for x in (-0.24, 0.24):
        animal += [(ellipse(x, -0.38, 0.26, 0.26), CREAM), (ellipse(x, -0.38, 0.17, 0.17), ORANGE)]
        animal.append((ellipse(x + look, -0.38, 0.09, 0.09), BLACK))
    return [*animal, (np.array([(-0.08, -0.28), (0.08, -0.28), (0, -0.08)]), ORANGE)]


def butterfly(rng: np.random.Generator) -> Animal:
    """A butterfly from above."""
    upper, lower, animal = any_colour(rng), any_colour(rng), []
    for s in np.array([-1, 1]) * rng.uniform(0.65, 1.0):
        turn = np.sign(s)
        animal.append((ellipse(s * 0.36, 0.38, abs(s) * 0.32, 0.4, -turn * 0.5), lower))
        animal.append((ellipse(s * 0.5, -0.28, abs(s) * 0.42, 0.5, turn * 0.7), upper))
        animal.append((ellipse(s * 0.58, -0.35, abs(s) * 0.2, 0.24, turn * 0.7), shade(upper, 1.35)))
        animal.append((ellipse(s * 0.4, 0.45, abs(s) * 0.12, 0.15), shade(lower, 0.6)))
        animal.append((limb((0, -0.45), (s * 0.05, -0.7), (turn * 0.25, -0.92), 0.03), BLACK))
    return [*animal, (ellipse(0, 0.05, 0.09, 0.5), BLACK), (ellipse(0, -0.48, 0.1, 0.1), shade(BLACK, 2))]


def snail(rng: np.random.Generator) -> Animal:
    """A snail in its shell."""
    shell, skin, animal = any_colour(rng), earthy(rng), []
    for top in 0.72 + rng.uniform(-0.05, 0.15) + np.array([0, 0.2]):
        animal.append((limb((0.62, 0.3), (0.65, 0), (top, -0.36), 0.06), skin))
        animal.append((ellipse(top, -0.38, 0.07, 0.07), BLACK))
    foot = [(-0.95, 0.62), (-0.6, 0.38), (0.3, 0.35), (0.5, 0.1), (0.75, 0.08), (0.88, 0.25), (0.8, 0.62)]
    animal.append((np.array(foot), skin))
    for ring in range(5):
        radius = 0.58 * 0.72**ring
        animal.append((ellipse(-0.15 + 0.04 * ring, 0.0, radius, radius), shade(shell, 0.75 + 0.12 * ring)))
    return animal


def turtle(rng: np.random.Generator) -> Animal:
    """A turtle in its shell."""
    shell, skin = any_colour(rng), hsv(rng.uniform(0.2, 0.4), 0.45, rng.uniform(0.5, 0.8))
    step, neck = rng.uniform(-0.12, 0.12), rng.uniform(-0.15, 0.1)
    animal = [(ellipse(x + step * s, 0.5, 0.14, 0.26, s * step), skin) for x, s in ((-0.45, 1), (0.4, -1))]
    animal += [(np.array([(-0.65, 0.3), (-1, 0.45), (-0.6, 0.45)]), skin)]
    animal += [(limb((0.4, 0.3), (0.6, 0.2), (0.8, neck), 0.22), skin)]
    animal += [(ellipse(0.8, neck, 0.2, 0.16), skin), *eye(0.85, neck - 0.04, 0.05)]
    animal.append((np.minimum(ellipse(-0.05, 0.35, 0.68, 0.75), [9, 0.4]), shell))
    for x, y, size in ((-0.05, -0.15, 0.2), (-0.38, 0.12, 0.17), (0.28, 0.12, 0.17), (-0.05, 0.2, 0.15)):
        animal.append((ellipse(x, y, size, size * 0.9), shade(shell, 0.7)))
    return animal


ANIMALS: dict[str, Callable[[np.random.Generator], Animal]] = {
    "antelope": partial(hoofed, horns=2),
    "barn_owl": partial(owl, tufts=False),
    "beetle": partial(crawler, pairs=3),
    "butterfly": butterfly,
    "curlew": partial(bird, length=0.5, depth=0.1, hook=0.25),
    "finch": partial(bird, length=0.28, depth=0.2, hook=0.0),
    "hare": partial(lagomorph, ears=0.42),
    "horse": hoofed,
    "lop_rabbit": partial(lagomorph, ears=0.3, lean=-2.4),
    "owl": partial(owl, tufts=True),
    "plain_fish": partial(fish, pattern="plain"),
    "rabbit": partial(lagomorph, ears=0.22),
    "snail": snail,
    "spider": partial(crawler, pairs=4),
    "spotted_fish": partial(fish, pattern="spotted"),
    "striped_fish": partial(fish, pattern="striped"),
    "toucan": partial(bird, length=0.48, depth=0.3, hook=0.12),
    "turtle": turtle,
    "unicorn": partial(hoofed, horns=1),
    "zebra": partial(hoofed, striped=True),
}
