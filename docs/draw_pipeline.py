"""Draws `docs/pipeline.png`: `PYTHONPATH=notebooks .venv/bin/python docs/draw_pipeline.py`."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from retrieval.data.sample.drawing import photograph
from retrieval.views.style import PARTS, QUERY, RIGHT, WRONG

PATH = Path(__file__).with_name("pipeline.png")
SHOWN = ("owl", "hare", "turtle", "snail")
FOUND = ("owl", "owl", "hare", "owl")
WIDTH, HEIGHT = 20.0, 7.4


def image(
    axis: Axes, category: str, number: int, x: float, y: float, frame: str, style: str = "solid"
) -> None:
    """Draws a picture, 1.2 x 1.2, whose lower left corner is at x, y."""
    pixels = photograph(category, np.random.default_rng([number, len(category)]))
    axis.imshow(pixels.resize((96, 96)), extent=(x, x + 1.2, y, y + 1.2), zorder=3)
    axis.add_patch(Rectangle((x, y), 1.2, 1.2, fill=False, color=frame, lw=2, ls=style, zorder=4))


def box(axis: Axes, x: float, y: float, title: str, text: str) -> None:
    """Draws a box, 3.5 x 1.3, whose lower left corner is at x, y."""
    shape = FancyBboxPatch((x, y), 3.5, 1.3, boxstyle="round,pad=0.05", fc="#f3f3f3", ec=QUERY, lw=1)
    axis.add_patch(shape)
    axis.text(x + 1.75, y + 0.9, title, ha="center", va="center", fontsize=8.5, weight="bold")
    axis.text(x + 1.75, y + 0.38, text, ha="center", va="center", fontsize=8)


def arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = 0) -> None:
    """Draws an arrow from start to end."""
    line = f"arc3,rad={bend}"
    axis.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=10, color=QUERY, connectionstyle=line)
    )


def draw() -> Figure:
    """The pipeline of the six notebooks, shown with images of the synthetic sample."""
    figure, axis = plt.subplots(figsize=(WIDTH / 1.6, HEIGHT / 1.6))
    for row, category in enumerate(SHOWN):
        image(axis, category, row, 0.1, 4.9 - 1.5 * row, QUERY)
    axis.text(0.7, 6.5, "photographs", ha="center", fontsize=8.5, weight="bold")

    box(axis, 2.4, 2.9, "01  split", "60/20/20, duplicates together")
    for left, width, part in ((2.4, 2.1, "train"), (4.5, 0.7, "val"), (5.2, 0.7, "test")):
        axis.add_patch(Rectangle((left, 2.1), width, 0.45, color=PARTS[part]))
        axis.text(left + width / 2, 2.32, part, ha="center", va="center", fontsize=7, color="white")

    box(axis, 7.0, 4.0, "02  MobileNetV2", "1,280 ImageNet features")
    box(axis, 7.0, 1.8, "03  Siamese encoders", "triplets: CNN, MobileNetV2")
    box(axis, 11.6, 2.9, "04  nearest neighbours", "KD-tree; P@3, mAP, ANMRR")
    box(axis, 11.6, 0.9, "05  fusion", "both features side by side")
    box(axis, 16.2, 0.2, "06  relevance feedback", "Rocchio moves the query")

    image(axis, "owl", 9, 12.75, 5.05, QUERY)
    axis.text(13.35, 6.5, "query", ha="center", fontsize=8.5, weight="bold")
    axis.text(17.95, 6.5, "results", ha="center", fontsize=8.5, weight="bold")
    for place, category in enumerate(FOUND):
        right = category == FOUND[0]
        x, y = 16.6 + 1.5 * (place % 2), 4.0 - 1.5 * (place // 2) + 1.05
        image(axis, category, 20 + place, x, y, *((RIGHT, "solid") if right else (WRONG, "dashed")))

    arrow(axis, (1.5, 3.55), (2.3, 3.55))
    for y in (4.65, 2.45):
        arrow(axis, (6.0, 3.55), (6.9, y))
        arrow(axis, (10.6, y), (11.5, 3.55))
        arrow(axis, (10.6, y), (11.5, 1.55))
    arrow(axis, (13.35, 2.3), (13.35, 2.8))
    arrow(axis, (13.35, 4.95), (13.35, 4.3))
    arrow(axis, (15.2, 3.55), (16.5, 4.4))
    arrow(axis, (17.95, 3.4), (17.95, 1.65))
    arrow(axis, (16.6, 1.6), (14.1, 5.6), bend=0.25)
    axis.set(xlim=(0, WIDTH), ylim=(0, HEIGHT), aspect="equal")
    axis.axis("off")
    return figure


if __name__ == "__main__":
    draw().savefig(PATH, dpi=90, bbox_inches="tight", facecolor="white")
