"""What all figures share: colours, fonts, short names, and how a figure is finished and saved."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font

from retrieval.errors import shown
from retrieval.files import write_atomically

# Okabe and Ito's colours, told apart with every common colour vision.
RIGHT, WRONG, QUERY, GREY = "#0072B2", "#D55E00", "#444444", "#999999"
PARTS = {"train": "#0072B2", "val": "#E69F00", "test": "#D55E00"}
# Of the lines of one plot, in this order.
LINES = (RIGHT, GREY, "#009E73", "#CC79A7", "#E69F00", WRONG, "#56B4E9", QUERY)

# Fonts for scripts that matplotlib's own font lacks; those that are installed are used.
WIDER_FONTS = (
    *("Noto Sans CJK JP", "Hiragino Sans", "Arial Unicode MS", "WenQuanYi Zen Hei"),
    *("Unifont", "Unifont Upper"),
)
NAMED = 10  # letters without a font that are named
FONTS = ["DejaVu Sans", *(font for font in WIDER_FONTS if font in fontManager.get_font_names())]
# `say_unwritten` says it once for all figures.
warnings.filterwarnings("ignore", "Glyph .* missing from font")
# Nor is $x$ a formula in a table.
pd.options.display.html.use_mathjax = False


@contextmanager
def styled() -> Iterator[None]:
    """Sets the style of figures drawn inside, or by a function that it decorates, and of no others."""
    # A file may be named $x$, which is no formula.
    with plt.rc_context({"text.parse_math": False, "font.family": FONTS, "legend.frameon": False}):
        yield


@styled()
def save(figure: Figure, path: Path) -> Figure:
    """The figure, for showing, after it was written as PNG.

    Raises:
        RetrievalError: the file cannot be written.
    """
    write_atomically(path, partial(figure.savefig, format="png", dpi=150, bbox_inches="tight"))
    return figure


def finish(figure: Figure) -> Figure:
    """The figure, laid out and closed: Jupyter shows it once, as the value of its cell."""
    figure.tight_layout()
    plt.close(figure)
    return figure


def say_unwritten(names: Iterable[str]) -> None:
    """Prints which letters of some names figures show as boxes, and what to install; nothing if none."""
    written = {code for font in FONTS for code in get_font(findfont(font)).get_charmap()}
    if missing := "".join(sorted({letter for letter in "".join(names) if ord(letter) not in written})):
        print(
            f"figures show boxes for {len(missing)} letters of the names ({shown(missing[:NAMED])}): install "
            f"`fonts-noto-cjk` or `fonts-unifont`, then delete {mpl.get_cachedir()}, which lists the fonts"
        )


def shortened(text: object, length: int = 26) -> str:
    """A text whose lines are each cut in the middle to `length` characters, because names can be long.

    >>> shortened("a_very_long_name_of_a_category_001")
    'a_very_long_n…category_001'
    """
    half = length // 2
    lines = str(text).split("\n")
    return "\n".join(f"{line[:half]}…{line[1 - half :]}" if len(line) > length else line for line in lines)
