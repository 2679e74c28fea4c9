"""Images side by side, or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from retrieval.views import grids


@pytest.mark.parametrize(
    "draw",
    [
        lambda root: grids.image_grid(root, [], []),
        lambda root: grids.pair_grid(root, pd.DataFrame(columns=["file", "other_file", "distance"])),
        lambda root: grids.query_grid(root, [], np.empty((0, 5), str), np.empty((0, 5))),
    ],
)
def test_without_rows_the_figure_says_none(draw, tmp_path: Path) -> None:
    figure = draw(tmp_path)
    assert [text.get_text() for axis in figure.axes for text in axis.texts] == ["None."]


def titles(figure: Figure) -> list[str]:
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def test_a_query_grid_tells_right_from_wrong_and_shortens_names(tmp_path: Path) -> None:
    files = ["cat/1.png", f"cat/{100 * 'x'}.png", "dog/1.png"]
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / file)
    right, wrong = titles(grids.query_grid(tmp_path, files[:1], [files[1:]], np.array([[0.5, 1.0]])))[1:]
    assert right == f"✓ 0.50\n{13 * 'x'}…{12 * 'x'}" and wrong == "✗ 1.00\n1"
    unknown = titles(grids.query_grid(tmp_path, [str(tmp_path / files[0])], [files[:1]], np.array([[0.5]])))
    assert unknown[1] == "0.50  cat\n1"
