"""What all figures share: colours, fonts, and how a figure is finished and saved."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from retrieval.files import write_atomically

# Okabe and Ito's colours, told apart with every common colour vision.
RIGHT, WRONG, QUERY = "#0072B2", "#D55E00", "#444444"
METHODS = {
    "mobilenetv2": "#0072B2",
    "siamese_cnn": "#999999",
    "siamese_mobilenetv2": "#009E73",
    "fused": "#CC79A7",
    "fused_weighted": "#E69F00",
}
PARTS = {"train": "#0072B2", "val": "#E69F00", "test": "#D55E00"}


# A file may be named $x$: names are no formulas.
plt.rcParams["text.parse_math"] = False
# Names in scripts that matplotlib's own font lacks are drawn in those of these fonts that are installed.
WIDER_FONTS = ("Noto Sans CJK JP", "Hiragino Sans", "Arial Unicode MS", "WenQuanYi Zen Hei")
plt.rcParams["font.family"] = [
    "DejaVu Sans",
    *(font for font in WIDER_FONTS if font in fontManager.get_font_names()),
]
warnings.filterwarnings("ignore", "Glyph .* missing from font")
# As TrueType, the text of a PDF can be searched and edited.
plt.rcParams["pdf.fonttype"] = 42


def save(figure: Figure, path: Path) -> Figure:
    """Writes a figure as PNG and, beside it, as PDF for print, and returns it for showing.

    Lines and text of the PDF are vectors; its images have 100 pixels an inch, which is what thumbnails
    have.
    """
    write_atomically(path, partial(figure.savefig, dpi=150, bbox_inches="tight"))
    # Without its date, the same figure is the same PDF.
    to_pdf = partial(figure.savefig, dpi=100, bbox_inches="tight", metadata={"CreationDate": None})
    write_atomically(path.with_suffix(".pdf"), to_pdf)
    return figure


def _finish(figure: Figure) -> Figure:
    figure.tight_layout()
    plt.close(figure)
    return figure


# Categories that are next to each other by name look different.
GOLDEN_ANGLE = 137.508


def hue(number: int) -> float:
    """A hue in degrees for the category of a number, the golden angle away from that of the one before."""
    return GOLDEN_ANGLE * number % 360
