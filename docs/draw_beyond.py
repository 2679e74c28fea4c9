"""Draws `docs/beyond.png` from the tables of `docs/results.md`: `.venv/bin/python docs/draw_beyond.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

FOLDER = Path(__file__).parent
RESULTS, PICTURE = FOLDER / "results.md", FOLDER / "beyond.png"
ORIGINAL, BEYOND, REPORTED = "#444444", "#0072B2", "#D55E00"  # Okabe and Ito's blue and orange

Row = tuple[str, str, float, float]


def rows(text: str, first_header: str) -> list[dict[str, str]]:
    """The rows of the first Markdown table whose first column has this header, by header.

    Of two columns with one header, the first counts.
    """
    lines = text[text.index(f"| {first_header} |") :].split("\n\n")[0].splitlines()
    header, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(reversed(list(zip(header, cells, strict=True)))) for cells in body]


def numbers(text: str) -> tuple[float, list[Row]]:
    """The best reported P@3, and (name, base, P@3, mAP) of plain MobileNetV2 and of every step beyond it.

    The base is the step that a step builds on; plain MobileNetV2 has none ("").
    """
    reported = rows(text, "features")
    best = max(float(row["P@3 reported"]) for row in reported if row["P@3 reported"])
    plain = reported[0]
    precision = float(plain["P@3 here [95 % interval]"].split()[0])
    steps = [
        (row["step"], row["against"], float(row["P@3"]), float(row["mAP"])) for row in rows(text, "step")
    ]
    return best, [(plain["features"], "", precision, float(plain["mAP here"])), *steps]


def draw(best: float, steps: list[Row]) -> Figure:
    """Two panels of dots, a row per step, plain MobileNetV2 on top.

    Names are indented below the name of the base; a line leads from the base's value to the step's.
    """
    names, bases, *measures = zip(*steps, strict=True)
    places = [names.index(base) if base else place for place, base in enumerate(bases)]
    depths: list[int] = []
    for place, base in enumerate(places):
        depths.append(depths[base] + 1 if base < place else 0)
    figure, axes = plt.subplots(1, 2, figsize=(11, 1.2 + 0.27 * len(names)), sharey=True)
    for axis, title, values in zip(axes, ("P@3", "mAP"), measures, strict=True):
        _dots(axis, title, values, places)
    axes[0].axvline(best, color=REPORTED, ls="--", lw=1)
    axes[0].text(best, -0.65, f" best reported, {best:.3f}", color=REPORTED, fontsize=8, va="center")
    labels = [f"{depth * '    '}{name}" for depth, name in zip(depths, names, strict=True)]
    axes[0].set_yticks(range(len(names)), labels, ha="left")
    axes[0].tick_params(axis="y", pad=170)
    axes[0].set_ylim(len(names) - 0.5, -1)
    figure.tight_layout()
    return figure


def _dots(axis: Axes, title: str, values: tuple[float, ...], bases: list[int]) -> None:
    spread = max(values) - min(values)
    for place, (value, base) in enumerate(zip(values, bases, strict=True)):
        axis.plot([values[base], value], [place, place], color=BEYOND, lw=2, alpha=0.5)
        axis.plot(value, place, "o", ms=7, color=BEYOND if place else ORIGINAL)
        axis.text(value + 0.035 * spread, place, f"{value:.3f}", fontsize=8, va="center")
    axis.set_title(title, fontsize=10)
    axis.set_xlim(min(values) - 0.06 * spread, max(values) + 0.2 * spread)
    axis.tick_params(labelsize=8, length=0)
    axis.grid(axis="y", alpha=0.3)
    axis.spines[["top", "right", "left"]].set_visible(False)


if __name__ == "__main__":
    best, steps = numbers(RESULTS.read_text("utf-8"))
    # The test that looks for an outdated picture reads the numbers from here.
    draw(best, steps).savefig(
        PICTURE, dpi=90, facecolor="white", metadata={"Description": repr((best, steps))}
    )
