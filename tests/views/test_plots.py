"""Figures on the disk: a PNG to look at and a PDF to print."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from PIL import Image

from retrieval.views import plots, style


def a_plot():
    values = pd.DataFrame({"first": [0.2, 0.4], "second": [0.3, 0.1]})
    return plots.curves(values, title="$5 a cat", xlabel="rounds", ylabel="precision")


def test_a_figure_is_saved_as_png_and_as_pdf_with_text(tmp_path: Path) -> None:
    figure = a_plot()
    assert style.save(figure, tmp_path / "plots" / "a.png") is figure
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["a.pdf", "a.png"]
    with Image.open(tmp_path / "plots" / "a.png") as image:
        assert image.format == "PNG" and image.width > 500
    pdf = (tmp_path / "plots" / "a.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and len(pdf) < 100_000
    # A TrueType font is there, and no picture.
    assert b"/FontFile2" in pdf and b"/Subtype /Image" not in pdf


def test_the_same_figure_is_the_same_pdf(tmp_path: Path) -> None:
    for name in ("first", "second"):
        style.save(a_plot(), tmp_path / f"{name}.png")
    assert (tmp_path / "first.pdf").read_bytes() == (tmp_path / "second.pdf").read_bytes()
