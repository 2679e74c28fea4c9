"""Plots. They only draw; every number comes from the caller, and long names are shortened.

Every function returns a closed figure, which Jupyter shows once, as the value of its cell.
"""

from collections.abc import Mapping, Sequence
from colorsys import hls_to_rgb
from pathlib import Path
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import LogLocator, MaxNLocator

from retrieval.data.dataset import category_of
from retrieval.evaluation.intervals import DISAGREE
from retrieval.evaluation.results import METHODS
from retrieval.views.grids import nothing, thumbnail
from retrieval.views.style import GREY, LINES, PARTS, QUERY, RIGHT, WRONG, finish, shortened, styled

Frame = TypeVar("Frame", pd.DataFrame, pd.Series)

LABELLED = 60  # categories that can be labelled in one figure
GOLDEN_ANGLE = 137.508  # degrees between the hues of categories next to each other by name
# The columns of a training's history that are shares of a batch.
SHARES = {
    "hardest": "violating among the hardest",
    "random": "violating among all triplets",
    "accuracy": "images nearest to their proxy",
}
# The colours of an interval and of the dot in it.
VERDICTS = {
    "better": (RIGHT, RIGHT),
    "worse": (WRONG, WRONG),
    "no difference": (GREY, GREY),
    DISAGREE: (GREY, "white"),
}


@styled()
def category_counts(counts: pd.DataFrame, *, title: str) -> Figure:
    """Stacked bars: images per category (rows) and part (columns).

    If there are more than 60 categories, the smallest and the largest.
    """
    if len(counts) > LABELLED:
        counts = counts.loc[counts.sum(axis=1).sort_values(kind="stable").index]
    figure, axis, counts = _by_category(counts, title=title, ylabel="images")
    below = counts.cumsum(axis=1) - counts
    for part in counts.columns:
        axis.bar(range(len(counts)), counts[part], bottom=below[part], color=PARTS[part], label=part)
    axis.set_ylim(0, counts.sum(axis=1).max() * 1.2)
    axis.legend(ncols=3, loc="upper left")
    return finish(figure)


@styled()
def feature_map(points: np.ndarray, root: Path, files: Sequence[str], *, title: str) -> Figure:
    """Points `[n, 2]`, one for each image, coloured by category; the central images are thumbnails.

    If there are more than 60 categories, the 60 with most images have a thumbnail and a name. If all points
    are equal, it says "None.".

    Args:
        points: as `feature_map.tsne`.
        root: folder that `files` are relative to.
        files: of the images, `[n]`; a file's folder is its category.

    Raises:
        RetrievalError: an image cannot be read.
    """
    if not np.ptp(points, axis=0).any():
        return nothing()
    names = [category_of(file) for file in files]
    categories, numbers, counts = np.unique(names, return_inverse=True, return_counts=True)
    hues = GOLDEN_ANGLE / 360 * np.arange(len(categories)) % 1
    colours = np.array([hls_to_rgb(hue, 0.42, 0.7) for hue in hues])
    figure, axis = plt.subplots(figsize=(11, 9))
    axis.scatter(points[:, 0], points[:, 1], s=14, c=colours[numbers], alpha=0.7, linewidths=0)
    for number in np.argsort(-counts, kind="stable")[:LABELLED]:
        own = np.flatnonzero(numbers == number)
        centre = np.median(points[own], axis=0)
        closest = own[np.argmin(np.linalg.norm(points[own] - centre, axis=1))]
        name, place = shortened(categories[number]), points[closest]
        image = OffsetImage(np.asarray(thumbnail(root / files[closest])), zoom=0.17)
        frame = {"edgecolor": colours[number], "linewidth": 1.5}
        axis.add_artist(AnnotationBbox(image, place, pad=0.12, bboxprops=frame))
        axis.annotate(name, place, (0, -18), textcoords="offset points", ha="center", fontsize=6)
    axis.set(title=title, xticks=[], yticks=[])
    return finish(figure)


@styled()
def training_curves(history: pd.DataFrame, *, title: str) -> Figure:
    """Loss, shares of the batches and validation P@3, by epoch; a star is the best of a stage."""
    history = history.set_index("epoch")
    shares = history[[column for column in SHARES if column in history]]
    panels = {
        "loss": history[["loss"]],
        "share of a batch": shares.rename(columns=SHARES),
        "validation P@3": history[["val_precision"]],
    }
    figure, (loss, share, precision) = _panels(panels, width=12, sharey=False)
    loss.set_ylim(0, 1.15 * history.loss.max())
    share.set_ylim(0, 1.03)
    share.legend()
    stars = precision.plot(history.val_precision[history.kept], "*", color=QUERY, markersize=14)
    precision.legend(stars, ["kept"])
    figure.suptitle(title)
    return finish(figure)


@styled()
def f1_bars(reports: Mapping[str, pd.DataFrame], *, title: str) -> Figure:
    """F1 of every category (rows of the reports) for every method, sorted by the first method.

    If there are more than 60 categories, the lowest and the highest.
    """
    scores = pd.DataFrame({method: report.f1 for method, report in reports.items()})
    figure, axis, scores = _by_category(scores.sort_values(scores.columns[0]), title=title, ylabel="F1")
    for method in reports:
        colour = METHODS[method].colour
        axis.plot(range(len(scores)), scores[method], "o", color=colour, markersize=5, label=method)
    axis.set_ylim(-0.03, 1.03)
    axis.grid(alpha=0.3)
    _legend_beside(axis)
    return finish(figure)


@styled()
def differences(values: pd.Series, *, title: str) -> Figure:
    """Differences by category as sorted bars, gains and losses in two colours.

    If there are more than 60 categories, both ends.
    """
    figure, axis, values = _by_category(values.sort_values(), title=title, ylabel="difference in F1")
    axis.bar(range(len(values)), values, color=np.where(values >= 0, RIGHT, WRONG))
    axis.axhline(0, color=QUERY, linewidth=0.8)
    return finish(figure)


@styled()
def gains(ablation: pd.DataFrame, measures: Sequence[str], *, title: str) -> Figure:
    """What every step adds to the step before, a panel per measure, with intervals.

    Blue is better, orange is worse, grey is no difference, and a hollow dot means that runs disagree.

    Args:
        ablation: as `intervals.ablation`; steps without a difference are left out.
        measures: at least two, such as "P@3".
    """
    steps = ablation[ablation[f"{measures[0]} difference"].notna()].iloc[::-1]
    labels = [f"{step}\nagainst {row.against}" for step, row in steps.iterrows()]
    figure, axes = plt.subplots(1, len(measures), figsize=(12, 1.5 + 0.4 * len(steps)), sharey=True)
    for axis, measure in zip(axes, measures, strict=True):
        for place, (_, row) in enumerate(steps.iterrows()):
            colour, inside = VERDICTS[row[f"{measure} verdict"]]
            axis.plot(row[[f"{measure} low", f"{measure} high"]], [place] * 2, color=colour, linewidth=2)
            axis.plot(row[f"{measure} difference"], place, "o", color=colour, mfc=inside, mew=1.5)
        axis.axvline(0, color=QUERY, linewidth=0.8)
        axis.set(title=measure, xlabel="difference")
        axis.grid(alpha=0.3, axis="x")
    axes[0].set_yticks(range(len(steps)), labels, fontsize=8)
    axes[0].set_ylim(-0.5, len(steps) - 0.5)
    figure.suptitle(title)
    return finish(figure)


@styled()
def confusion_heatmap(shares: pd.DataFrame, *, title: str) -> Figure:
    """What was retrieved (columns) for queries of some categories (rows), as shares in [0, 1]."""
    figure, axis = plt.subplots(figsize=(1.5 + 0.62 * shares.shape[1], 1.4 + 0.45 * shares.shape[0]))
    axis.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares.to_numpy()):
        if share >= 0.005:
            colour = "white" if share < 0.5 else "black"
            axis.text(column, row, f"{share:.2f}", ha="center", va="center", fontsize=8, color=colour)
    columns, rows = ([shortened(name) for name in names] for names in (shares.columns, shares.index))
    axis.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    axis.set(title=title, xlabel="category retrieved", ylabel="category of the query")
    return finish(figure)


def curves(frame: pd.DataFrame, *, title: str, xlabel: str, ylabel: str) -> Figure:
    """Every column of a frame as a line over its index."""
    return curve_panels({title: frame}, xlabel=xlabel, ylabel=ylabel)


@styled()
def curve_panels(frames: Mapping[str, pd.DataFrame], *, xlabel: str, ylabel: str) -> Figure:
    """Frames with the same columns side by side, by title: every column is a line over the index."""
    figure, axes = _panels(frames, width=6 + 3 * len(frames), xlabel=xlabel, ylabel=ylabel)
    _legend_beside(axes[-1])
    return finish(figure)


@styled()
def log_panels(frames: Mapping[str, pd.DataFrame], *, ylabel: str) -> Figure:
    """Frames side by side, by title: every column is a line over the index, on logarithmic axes.

    The name of the index labels its axis.
    """
    figure, axes = _panels(frames, width=3.8 * len(frames), ylabel=ylabel, loglog=True)
    for axis, frame in zip(axes, frames.values(), strict=True):
        axis.minorticks_off()
        axis.set_xticks(frame.index, [f"{place:,}" for place in frame.index], fontsize=8)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.legend()
    return finish(figure)


def _by_category(frame: Frame, *, title: str, ylabel: str) -> tuple[Figure, Axes, Frame]:
    """An empty figure with a place 0, 1, 2, … for each row, and the rows: both ends of more than LABELLED."""
    if len(frame) > LABELLED:
        half = LABELLED // 2
        title, frame = f"{title}: both ends of {len(frame)}", pd.concat([frame[:half], frame[-half:]])
    figure, axis = plt.subplots(figsize=(11, 3.6))
    names = [shortened(name) for name in frame.index]
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axis.set(title=title, ylabel=ylabel)
    axis.margins(x=0.01)
    return figure, axis, frame


def _panels(
    frames: Mapping[str, pd.DataFrame], *, width: float, sharey: bool = True, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each frame, by title: every column is a line over the index."""
    figure, grid = plt.subplots(1, len(frames), figsize=(width, 3.6), sharey=sharey, squeeze=False)
    axes = list(grid.flat)
    for axis, (title, frame) in zip(axes, frames.items(), strict=True):
        colours = LINES[: frame.shape[1]]
        frame = frame.rename(columns=lambda name: shortened(name, length=40))
        frame.plot(ax=axis, title=title, marker="o", color=colours, legend=False, **options)
        if pd.api.types.is_integer_dtype(frame.index):
            axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        axis.grid(alpha=0.3)
    return figure, axes


def _legend_beside(axis: Axes) -> None:
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
