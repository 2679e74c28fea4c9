"""Writes `docs/tour.md`, the six notebooks in pictures: `python -m retrieval.commands.tour`, or `make tour`.

A section of a notebook that draws something gives its heading, its first picture and the paragraph after it.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat.v4 import new_markdown_cell
from PIL import Image

from retrieval.artifacts.store import begin
from retrieval.errors import RetrievalError, run
from retrieval.files import remove, write_atomically
from retrieval.settings import PROJECT

WIDTH = 900  # of a picture, at most
HEAD = """# The six notebooks in pictures

Made by `make tour` from a run on the synthetic sample, which stands in for photographs. Its figures say
nothing about photographs: those are in [results.md](results.md).
"""


class Section(NamedTuple):
    """What the tour shows of a section of a notebook: its picture is the content of a PNG."""

    heading: str
    picture: bytes
    text: str


def sections(notebook: nbformat.NotebookNode) -> Iterator[Section]:
    """The sections of an executed notebook that draw something, in order."""
    heading, shown = "", ""
    for cell, following in pairwise([*notebook.cells, new_markdown_cell()]):
        if cell.cell_type == "markdown":
            heading = [heading, *re.findall("^#+ (.*)", cell.source, re.MULTILINE)][-1]
            continue
        pictures = [output.get("data", {}).get("image/png") for output in cell.outputs]
        if any(pictures) and heading != shown:
            shown = heading
            is_prose = following.cell_type == "markdown" and not following.source.startswith("#")
            text = following.source.split("\n\n")[0] if is_prose else ""
            yield Section(heading, b64decode(next(filter(None, pictures))), text)


def write_tour(executed: Path, docs: Path, steps: list[str]) -> None:
    """Writes `tour.md` and the pictures in `tour/` to `docs`, from a folder of executed notebooks."""
    text = [HEAD]
    remove(docs / "tour")
    (docs / "tour").mkdir(parents=True)
    for step in steps:
        notebook = nbformat.read(executed / f"{step}.ipynb", 4)
        title, question = (part.strip() for part in notebook.cells[0].source.split("\n\n")[:2])
        text.append(f"## [{title.lstrip('# ')}](../notebooks/{step}.ipynb)\n\n{_from_docs(question)}\n")
        for number, section in enumerate(sections(notebook), 1):
            name = f"tour/{step[:2]}-{number}.jpg"
            image = Image.open(BytesIO(section.picture)).convert("RGB")
            image.thumbnail((WIDTH, 2 * WIDTH))
            image.save(docs / name, quality=80, optimize=True)
            text.append(
                f"### {section.heading}\n\n![{section.heading}]({name})\n\n{_from_docs(section.text)}\n"
            )
    write_atomically(docs / "tour.md", lambda file: file.write_text("\n".join(text), "utf-8"))


def _from_docs(text: str) -> str:
    """A notebook's Markdown with its links as they lead there from `docs/`."""
    return re.sub(r"\]\((?!http)", "](../notebooks/", text)


def main() -> None:
    settings, _, data = begin()
    if not data["is_sample"]:
        raise RetrievalError("the tour shows the synthetic sample: run `make tour DATA=data/sample`")
    executed = settings.artifacts / "notebooks"
    write_tour(executed, PROJECT / "docs", sorted(path.stem for path in executed.glob("0*.ipynb")))
    print(PROJECT / "docs" / "tour.md")


if __name__ == "__main__":
    run(main)
