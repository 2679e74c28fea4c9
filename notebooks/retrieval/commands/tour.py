"""Writes `docs/tour.md`, the six notebooks in pictures: `python -m retrieval.commands.tour`, or `make tour`.

A section of a notebook that draws something gives its heading, its first picture and the paragraph after it.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import nbformat
from PIL import Image

from retrieval.artifacts.store import begin
from retrieval.errors import RetrievalError, run
from retrieval.files import remove, write_atomically
from retrieval.settings import PROJECT

WIDTH, QUALITY = 900, 80  # pixels of a picture at most; of its JPEG
HEAD = """# The six notebooks in pictures

Made by `make tour` from a run on the synthetic sample, which stands in for photographs. Its figures say
nothing about photographs: those are in [results.md](results.md).
"""


class Section(NamedTuple):
    """What the tour shows of a section of a notebook.

    Attributes:
        heading: without its `#`.
        picture: the content of a PNG.
        text: Markdown, the paragraph after the picture; "" if none follows.
    """

    heading: str
    picture: bytes
    text: str


def sections(notebook: nbformat.NotebookNode) -> Iterator[Section]:
    """The sections of an executed notebook that draw something, in order."""
    heading, shown = "", ""
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        if cell.cell_type == "markdown":
            titles = [line for line in cell.source.splitlines() if line.startswith("#")]
            heading = titles[-1].lstrip("# ") if titles else heading
            continue
        pictures = [output.get("data", {}).get("image/png") for output in cell.outputs]
        picture = next(filter(None, pictures), None)
        if picture and heading != shown:
            shown = heading
            yield Section(heading, b64decode(picture), _first_paragraph(following))


def write_tour(executed: Path, docs: Path, steps: list[str]) -> None:
    """Writes `tour.md` and the pictures in `tour/` to a folder.

    Args:
        executed: folder of the executed notebooks.
        docs: the folder.
        steps: names of the notebooks, in order.
    """
    text = [HEAD]
    remove(docs / "tour")
    (docs / "tour").mkdir(parents=True)
    for step in steps:
        notebook = nbformat.read(executed / f"{step}.ipynb", 4)
        title, question = (part.strip() for part in notebook.cells[0].source.split("\n\n")[:2])
        text.append(f"## [{title.lstrip('# ')}](../notebooks/{step}.ipynb)\n\n{question}\n")
        for number, section in enumerate(sections(notebook), 1):
            name = f"tour/{step[:2]}-{number}.jpg"
            _save(section.picture, docs / name)
            text.append(f"### {section.heading}\n\n![{section.heading}]({name})\n\n{section.text}\n")
    write_atomically(docs / "tour.md", lambda file: file.write_text("\n".join(text), "utf-8"))


def _first_paragraph(cell: nbformat.NotebookNode | None) -> str:
    if cell is None or cell.cell_type != "markdown" or cell.source.startswith("#"):
        return ""
    return cell.source.split("\n\n")[0]


def _save(picture: bytes, path: Path) -> None:
    image = Image.open(BytesIO(picture)).convert("RGB")
    image.thumbnail((WIDTH, 2 * WIDTH))
    image.save(path, "JPEG", quality=QUALITY, optimize=True)


def main() -> None:
    settings, _, data = begin()
    if not data["is_sample"]:
        raise RetrievalError("the tour shows the synthetic sample: run `make tour DATA=data/sample`")
    executed = settings.artifacts / "notebooks"
    write_tour(executed, PROJECT / "docs", sorted(path.stem for path in executed.glob("0*.ipynb")))
    print(PROJECT / "docs" / "tour.md")


if __name__ == "__main__":
    run(main)
