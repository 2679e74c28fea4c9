"""Images side by side: thumbnails, pairs, a query and what was retrieved for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from retrieval.data.dataset import category_of
from retrieval.data.decoding import open_image
from retrieval.views.style import QUERY, RIGHT, WRONG, _finish

THUMBNAIL = 144
# Categories that can be labelled in one figure, and characters that fit above a thumbnail.
LABELLED, TITLE = 60, 26


RESULTS_PER_LINE = 5


def thumbnail(path: Path) -> Image.Image:
    """An image file as a square of THUMBNAIL pixels, its aspect ratio given up.

    Raises:
        RetrievalError: the file is not a readable image.
    """
    return open_image(path).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)


def image_grid(root: Path, files: Sequence[str], titles: Sequence[str], *, columns: int = 9) -> Figure:
    """Images side by side, each under its title."""
    rows = -(-len(files) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.45 * columns, 1.9 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, file, title in zip(axes.flat, files, titles, strict=False):
        axis.imshow(thumbnail(root / file))
        axis.set_title(_shortened(title), fontsize=7)
    return _finish(figure)


def pair_grid(root: Path, pairs: pd.DataFrame, *, unit: str = "") -> Figure:
    """The images of pairs side by side, three pairs in a line.

    Args:
        root: folder of the data set.
        pairs: columns file, other_file and distance, a row per pair.
        unit: of the distance, which is written over the right image.
    """
    files, titles = [], []
    for pair in pairs.itertuples():
        files += [pair.file, pair.other_file]
        titles += [Path(pair.file).stem, f"{Path(pair.other_file).stem}\n{pair.distance:.3g}{unit}"]
    return image_grid(root, files, titles, columns=6)


def query_grid(
    root: Path, queries: Sequence[str], results: Sequence[Sequence[str]], distances: np.ndarray
) -> Figure:
    """For each query, the query and then what was retrieved for it, nearest first, five in a line.

    Args:
        root: folder of the data set.
        queries: file of every query, `[n]`; its folder is its category. One without category is a file
            of a flat folder, or an absolute path.
        results: files retrieved for every query, `[n][k]`.
        distances: of the results, `[n, k]`.

    Returns:
        Right results are framed solid blue and ticked, wrong ones dashed orange and crossed; those of a
        query without category are framed grey, their own category above the file's name.
    """
    lines = -(-len(results[0]) // RESULTS_PER_LINE)
    shape = len(queries) * lines, 1 + min(len(results[0]), RESULTS_PER_LINE)
    figure, axes = plt.subplots(*shape, figsize=(1.65 * shape[1], 2.1 * shape[0]), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for row, (query, retrieved, lengths) in enumerate(zip(queries, results, distances, strict=True)):
        block = axes[row * lines : (row + 1) * lines]
        _framed(block[0, 0], root / query, f"query\n{Path(query).stem}", QUERY, "-")
        for axis, file, distance in zip(block[:, 1:].flat, retrieved, lengths, strict=False):
            _framed(axis, root / file, *_judged(query, file, distance))
    return _finish(figure)


def _framed(axis: Axes, path: Path, title: str, colour: str, style: str) -> None:
    axis.imshow(thumbnail(path))
    axis.axis("on")
    axis.set_title(_shortened(title), fontsize=7, color=colour)
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=3, linestyle=style)


def _judged(query: str, file: str, distance: float) -> tuple[str, str, str]:
    """Title, colour and line style of a result: whether it is of the query's category, if it has one."""
    if not category_of(query):
        return f"{distance:.2f}  {category_of(file)}\n{Path(file).stem}", QUERY, "-"
    if category_of(file) == category_of(query):
        return f"✓ {distance:.2f}\n{Path(file).stem}", RIGHT, "-"
    return f"✗ {distance:.2f}\n{Path(file).stem}", WRONG, "--"


def _shortened(title: str) -> str:
    """Every line of a title cut in its middle to what fits."""
    half = TITLE // 2
    lines = title.split("\n")
    return "\n".join(f"{line[:half]}…{line[-half:]}" if len(line) > TITLE else line for line in lines)
