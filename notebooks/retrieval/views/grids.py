"""Images side by side: thumbnails, pairs, a query and what was retrieved for it."""

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
from retrieval.views.style import QUERY, RIGHT, WRONG, finish, shortened, styled

THUMBNAIL = 144  # pixels a side
RESULTS_PER_LINE = 5


def thumbnail(source: Path | bytes) -> Image.Image:
    """An image file, or its bytes, resized to a square of THUMBNAIL pixels; its aspect ratio is not kept.

    Raises:
        RetrievalError: the file is not a readable image.
    """
    return open_image(source).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)


@styled()
def image_grid(root: Path, files: Sequence[str], titles: Sequence[str], *, columns: int = 9) -> Figure:
    """Images side by side, each under its title; "None." without images.

    Args:
        root: folder that `files` are relative to.
        files: `[n]`.
        titles: `[n]`; long lines are shortened.
        columns: images in a line.

    Raises:
        RetrievalError: an image cannot be read.
    """
    if not len(files):
        return nothing()
    figure, axes = _grid(-(-len(files) // columns), columns)
    for axis, file, title in zip(axes.flat, files, titles, strict=False):
        axis.imshow(thumbnail(root / file))
        axis.set_title(shortened(title), fontsize=7)
    return finish(figure)


def pair_grid(root: Path, pairs: pd.DataFrame, *, unit: str = "") -> Figure:
    """The images of pairs side by side, three pairs in a line; "None." without pairs.

    Args:
        root: folder that the files are relative to.
        pairs: columns file, other_file and distance, which is written above the second image in `unit`.

    Raises:
        RetrievalError: an image cannot be read.
    """
    files, titles = [], []
    for file, other, distance in zip(pairs.file, pairs.other_file, pairs.distance, strict=True):
        files += [file, other]
        titles += [Path(file).stem, f"{Path(other).stem}\n{distance:.3g}{unit}"]
    return image_grid(root, files, titles, columns=6)


@styled()
def query_grid(
    root: Path, queries: Sequence[str], results: Sequence[Sequence[str]], distances: np.ndarray
) -> Figure:
    """Every query and its results, nearest first, five in a line; "None." without queries.

    Right results have a solid blue frame and a tick, wrong ones a dashed orange frame and a cross. If the
    query has no category, its results have a grey frame, and their own category above the file's name.

    Args:
        root: folder that the files are relative to.
        queries: file of every query, `[n]`; its folder is its category. A file of a flat folder and an
            absolute path have no category.
        results: files retrieved for every query, `[n][k]`.
        distances: of the results, `[n, k]`.

    Raises:
        RetrievalError: an image cannot be read.
    """
    if not len(queries):
        return nothing()
    lines = -(-len(results[0]) // RESULTS_PER_LINE)
    figure, axes = _grid(len(queries) * lines, 1 + min(len(results[0]), RESULTS_PER_LINE))
    for row, (query, retrieved, lengths) in enumerate(zip(queries, results, distances, strict=True)):
        block = axes[row * lines : (row + 1) * lines]
        _framed(block[0, 0], root / query, f"query\n{Path(query).stem}", QUERY, "-")
        for axis, file, distance in zip(block[:, 1:].flat, retrieved, lengths, strict=False):
            _framed(axis, root / file, *_judged(query, file, distance))
    return finish(figure)


def nothing() -> Figure:
    """What stands in place of a figure that has nothing to show: "None."."""
    figure, axes = _grid(1, 1)
    figure.set_size_inches(1.5, 0.5)
    axes[0, 0].text(0.5, 0.5, "None.", ha="center", va="center")
    return finish(figure)


def _grid(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """A figure with places for images, `[rows, columns]`, without axes."""
    figure, axes = plt.subplots(rows, columns, figsize=(1.6 * columns, 2.05 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    return figure, axes


def _framed(axis: Axes, path: Path, title: str, colour: str, style: str) -> None:
    if path.exists():
        axis.imshow(thumbnail(path))
    else:  # somebody has moved a picture that they had added to the gallery
        axis.text(0.5, 0.5, "missing", ha="center", va="center", transform=axis.transAxes)
    axis.axis("on")
    axis.set_title(shortened(title), fontsize=7, color=colour)
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=3, linestyle=style)


def _judged(query: str, file: str, distance: float) -> tuple[str, str, str]:
    """Title, colour and line style of a result: they say whether it has the query's category."""
    category, name = category_of(file), Path(file).stem
    if not category_of(query):
        return f"{distance:.2f}  {category}\n{name}", QUERY, "-"
    if category == category_of(query):
        return f"✓ {distance:.2f}\n{name}", RIGHT, "-"
    return f"✗ {distance:.2f}\n{name}", WRONG, "--"
