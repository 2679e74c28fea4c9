"""The tour in pictures: what it takes from an executed notebook, and whether it still fits the notebooks."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import nbformat
import pytest
import tiny
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from retrieval.commands.tour import sections, write_tour
from retrieval.settings import PROJECT

DOCS = PROJECT / "docs"
needs_tour = pytest.mark.skipif(not (DOCS / "tour.md").is_file(), reason="no tour: run `make tour`")


def picture(colour: str) -> str:
    content = BytesIO()
    Image.new("RGB", (1200, 8), colour).save(content, "PNG")
    return b64encode(content.getvalue()).decode()


def drawing(colour: str) -> nbformat.NotebookNode:
    return new_code_cell(outputs=[new_output("display_data", {"image/png": picture(colour)})])


def an_executed_notebook() -> nbformat.NotebookNode:
    cells = [
        new_markdown_cell("# 1. A title\n\nThe question?\n\n**Takes** nothing."),
        new_code_cell(outputs=[new_output("stream", text="1")]),
        new_markdown_cell("Some words.\n\n## First section\n\nWhat comes."),
        drawing("red"),
        new_markdown_cell("What to see [later](02_next.ipynb).\n\nMore."),
        drawing("green"),
        new_markdown_cell("## Second section"),
        drawing("blue"),
        new_markdown_cell("## Third section, without a picture"),
    ]
    return new_notebook(cells=cells)


def test_a_section_gives_its_first_picture_and_the_words_after_it() -> None:
    found = list(sections(an_executed_notebook()))
    assert [section[::2] for section in found] == [
        ("First section", "What to see [later](02_next.ipynb)."),
        ("Second section", ""),
    ]
    colours = [Image.open(BytesIO(section.picture)).getpixel((0, 0)) for section in found]
    assert colours == [(255, 0, 0), (0, 0, 255)]


def test_a_tour_is_written_anew(tmp_path: Path) -> None:
    nbformat.write(an_executed_notebook(), tmp_path / "01_step.ipynb")
    (tmp_path / "docs/tour").mkdir(parents=True)
    (tmp_path / "docs/tour/old.jpg").touch()
    write_tour(tmp_path, tmp_path / "docs", ["01_step"])
    text = (tmp_path / "docs/tour.md").read_text("utf-8")
    assert "## [1. A title](../notebooks/01_step.ipynb)\n\nThe question?\n" in text
    assert "![First section](tour/01-1.jpg)\n\nWhat to see [later](../notebooks/02_next.ipynb).\n" in text
    assert sorted(path.name for path in (tmp_path / "docs/tour").iterdir()) == ["01-1.jpg", "01-2.jpg"]
    assert Image.open(tmp_path / "docs/tour/01-1.jpg").width == 900


@needs_tour
def test_the_tour_fits_the_notebooks() -> None:
    """Every heading and paragraph is still in its notebook, and every notebook is shown."""
    text = (DOCS / "tour.md").read_text("utf-8")
    parts = re.split(r"^## \[.*\]\(\.\./notebooks/(.*)\.ipynb\)$", text, flags=re.MULTILINE)[1:]
    assert parts[::2] == tiny.STEPS
    for step, shown in zip(parts[::2], parts[1::2], strict=True):
        cells = json.loads(tiny.committed(step).read_text("utf-8"))["cells"]
        prose = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        for paragraph in shown.replace("](../notebooks/", "](").strip().split("\n\n"):
            assert paragraph.startswith("![") or paragraph.lstrip("# ") in prose, (
                f"docs/tour.md no longer fits {step}: run `make tour DATA=data/sample` ({paragraph})"
            )


@needs_tour
def test_the_tour_has_its_pictures_and_no_others_and_is_small() -> None:
    linked = re.findall(r"\]\((tour/[^)]*)\)", (DOCS / "tour.md").read_text("utf-8"))
    there = [path.relative_to(DOCS).as_posix() for path in sorted((DOCS / "tour").iterdir())]
    assert sorted(linked) == there and 10 <= len(there) <= 25
    assert sum((DOCS / name).stat().st_size for name in there) < 2e6
