"""Plots. They only draw; every number comes from the caller, and long names are shortened.

Every function returns a closed figure, which Jupyter shows once, as the value of its cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from colorsys import hls_to_rgb
from functools import partial
from pathlib import Path
from typing import TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import LogLocator

from retrieval.data.dataset import category_of
from retrieval.evaluation.results import METHODS
from retrieval.views.grids import thumbnail
from retrieval.views.style import LINES, PARTS, QUERY, RIGHT, WRONG, finish, hue, shortened, styled

Frame = TypeVar("Frame", pd.DataFrame, pd.Series)

LABELLED = 60  # categories that can be labelled in one figure
_in_legend = partial(shortened, length=40)
# The columns of a training's history that are shares of a batch.
SHARES = {
    "hardest": "violating among the hardest",
    "random": "violating among all triplets",
    "accuracy": "images nearest to their proxy",
}


@styled()
def category_counts(counts: pd.DataFrame, *, title: str) -> Figure:
    """Stacked bars: images per category (rows) and part (columns).

    If there are more than 60 categories, the smallest and the largest.
    """
    if len(counts) > LABELLED:
        counts = counts.loc[counts.sum(axis=1).sort_values(kind="stable").index]
    counts, title = _ends(counts, title)
    figure, axis = plt.subplots(figsize=(11, 3.6))
    counts.plot.bar(stacked=True, ax=axis, width=0.8, color=[PARTS[part] for part in counts.columns])
    axis.set(title=title, xlabel="", ylabel="images")
    _label(axis, counts.index)
    axis.legend(title=None, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.0), framealpha=0.9)
    axis.set_ylim(0, counts.sum(axis=1).max() * 1.2)
    return finish(figure)


@styled()
def feature_map(points: np.ndarray, root: Path, files: Sequence[str], *, title: str) -> Figure:
    """Points `[n, 2]`, one for each image, coloured by category; the central images are thumbnails.

    If there are more than 60 categories, the 60 with most images have a thumbnail and a name.

    Args:
        points: as `feature_map.tsne`, `[n, 2]`.
        root: folder of the data set.
        files: of the images, relative to `root`, `[n]`; a file's folder is its category.
        title: of the figure.

    Raises:
        RetrievalError: an image cannot be read.
    """
    names = np.array([category_of(file) for file in files])
    categories = np.unique(names)
    colours = [hls_to_rgb(hue(number) / 360, 0.42, 0.7) for number in range(len(categories))]
    largest = set(pd.Series(names).value_counts().index[:LABELLED])
    figure, axis = plt.subplots(figsize=(11, 9))
    for category, colour in zip(categories, colours, strict=True):
        inside = names == category
        axis.scatter(points[inside, 0], points[inside, 1], s=14, color=colour, alpha=0.7, linewidths=0)
        if category not in largest:
            continue
        centre = np.median(points[inside], axis=0)
        closest = np.flatnonzero(inside)[np.argmin(np.linalg.norm(points[inside] - centre, axis=1))]
        image = OffsetImage(np.asarray(thumbnail(root / files[closest])), zoom=0.17)
        axis.add_artist(
            AnnotationBbox(
                image, points[closest], pad=0.12, bboxprops={"edgecolor": colour, "linewidth": 1.5}
            )
        )
        name, place = shortened(category), points[closest]
        axis.annotate(name, place, (0, -18), textcoords="offset points", ha="center", fontsize=6)
    axis.set(title=title, xticks=[], yticks=[])
    return finish(figure)


@styled()
def training_curves(history: pd.DataFrame, *, title: str) -> Figure:
    """Loss, shares of the batches and validation precision@3, by epoch; a star is the best of a stage."""
    figure, (loss, share, precision) = plt.subplots(1, 3, figsize=(12, 3.2))
    loss.plot(history.epoch, history.loss, color=QUERY, marker="o")
    loss.set(title="loss", ylim=(0, 1.15 * history.loss.max()))
    for (column, label), colour in zip(SHARES.items(), (WRONG, RIGHT, QUERY), strict=True):
        if column in history:
            share.plot(history.epoch, history[column], color=colour, marker="o", label=label)
    share.set(title="share of a batch", ylim=(0, 1.03))
    share.legend(fontsize=8)
    precision.plot(history.epoch, history.val_precision, color=LINES[2], marker="o")
    kept = history[history.kept]
    precision.plot(kept.epoch, kept.val_precision, "*", color=QUERY, markersize=14, label="kept")
    precision.set(title="validation precision@3")
    precision.legend(fontsize=8)
    for axis in (loss, share, precision):
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    figure.suptitle(title)
    return finish(figure)


@styled()
def f1_bars(reports: Mapping[str, pd.DataFrame], *, title: str) -> Figure:
    """F1 of every category (rows of the reports) for every method, sorted by the first method.

    If there are more than 60 categories, the lowest and the highest.
    """
    frame = pd.DataFrame({method: report.f1 for method, report in reports.items()})
    frame, title = _ends(frame.sort_values(frame.columns[0]), title)
    figure, axis = plt.subplots(figsize=(11, 3.8))
    for method in reports:
        colour = METHODS[method].colour
        axis.plot(range(len(frame)), frame[method], "o", color=colour, markersize=5, label=method)
    axis.set(ylabel="F1", ylim=(-0.03, 1.03))
    axis.set_title(title, pad=28)
    _label(axis, frame.index)
    axis.grid(alpha=0.3)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=frame.shape[1], frameon=False)
    return finish(figure)


@styled()
def differences(values: pd.Series, *, title: str) -> Figure:
    """Differences by category as sorted bars, gains and losses in two colours.

    If there are more than 60 categories, both ends.
    """
    values, title = _ends(values.sort_values(), title)
    figure, axis = plt.subplots(figsize=(11, 3.4))
    axis.bar(range(len(values)), values, color=np.where(values >= 0, RIGHT, WRONG))
    axis.axhline(0, color=QUERY, linewidth=0.8)
    axis.set(title=title, ylabel="difference in F1")
    _label(axis, values.index)
    return finish(figure)


@styled()
def gains(ablation: pd.DataFrame, measures: Sequence[str], *, title: str) -> Figure:
    """What every step adds to the step before, a panel per measure, with 95 % intervals.

    Blue is better, orange is worse, grey is no difference.

    Args:
        ablation: as `intervals.ablation`; steps without a difference are left out.
        measures: the panels, such as "P@3".
        title: of the figure.
    """
    colours = {"better": RIGHT, "worse": WRONG, "no difference": "#999999"}
    steps = ablation[ablation[f"{measures[0]} difference"].notna()].iloc[::-1]
    labels = [f"{step}\nagainst {row.against}" for step, row in steps.iterrows()]
    figure, axes = plt.subplots(1, len(measures), figsize=(12, 0.8 + 0.5 * len(steps)), sharey=True)
    for axis, measure in zip(axes, measures, strict=True):
        for place, (_, row) in enumerate(steps.iterrows()):
            colour = colours[row[f"{measure} verdict"]]
            axis.plot(row[[f"{measure} low", f"{measure} high"]], [place] * 2, color=colour, linewidth=2)
            axis.plot(row[f"{measure} difference"], place, "o", color=colour)
        axis.axvline(0, color=QUERY, linewidth=0.8)
        axis.set(title=measure, xlabel="difference")
        axis.grid(alpha=0.3, axis="x")
    axes[0].set_yticks(range(len(steps)), labels, fontsize=8)
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
    size = (6 + 3 * len(frames), 3.6)
    figure, axes = plt.subplots(1, len(frames), figsize=size, sharey=True, squeeze=False)
    for axis, (title, frame) in zip(axes.flat, frames.items(), strict=True):
        frame = frame.rename(columns=_in_legend)
        frame.plot(ax=axis, marker="o", color=LINES[: frame.shape[1]], legend=False)
        axis.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if pd.api.types.is_integer_dtype(frame.index):
            axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return finish(figure)


@styled()
def log_panels(frames: Mapping[str, pd.DataFrame], *, ylabel: str) -> Figure:
    """Frames side by side, by title: each of up to three columns is a line over the index.

    Both axes are logarithmic. The name of the index labels its axis.
    """
    size = (3.8 * len(frames), 3.6)
    figure, axes = plt.subplots(1, len(frames), figsize=size, sharey=True, squeeze=False)
    for axis, (title, frame) in zip(axes.flat, frames.items(), strict=True):
        colours = [WRONG, RIGHT, QUERY][: frame.shape[1]]
        frame = frame.rename(columns=_in_legend)
        frame.plot(ax=axis, loglog=True, marker="o", color=colours, legend=False)
        axis.minorticks_off()
        axis.set_xticks(frame.index, [f"{place:,}" for place in frame.index], fontsize=8)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set(title=title, ylabel=ylabel)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    return finish(figure)


def _label(axis: Axes, names: pd.Index) -> None:
    """Names below the places 0, 1, 2, … of an axis."""
    axis.set_xticks(range(len(names)), [shortened(name) for name in names], rotation=90, fontsize=8)


def _ends(frame: Frame, title: str) -> tuple[Frame, str]:
    """The first and last rows of a sorted frame, if it has more than can be labelled, and its title."""
    if len(frame) <= LABELLED:
        return frame, title
    half = LABELLED // 2
    return pd.concat([frame[:half], frame[-half:]]), f"{title}: both ends of {len(frame)}"
