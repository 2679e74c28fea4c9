"""Relevance feedback by clicking, in Jupyter: pictures are buttons, and each round is a new search."""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import ipywidgets as widgets
from IPython import get_ipython
from IPython.display import display

from retrieval.data.images import encoded
from retrieval.data.parts import Part
from retrieval.search.session import Session, mark, score, search
from retrieval.views.grids import thumbnail
from retrieval.views.style import RIGHT, WRONG

CAPTIONS = {None: "not judged", True: "✓ relevant", False: "✗ irrelevant"}
FRAMES = {True: "relevant", False: "irrelevant"}
SIDE, ACROSS = 84, 2  # pixels of a picture, pictures in a line
STYLE = f"""<style>
.judging .round {{ flex-shrink: 0; margin: 0 14px 0 0; }}
.judging .round .widget-html-content {{ line-height: 1.5; min-height: 3em; }}
.judging .lines {{ grid-template-columns: repeat({ACROSS}, max-content); grid-gap: 6px; padding: 3px; }}
.judging .picture {{
  width: {SIDE + 8}px; height: {SIDE + 30}px; margin: 0; padding: {SIDE}px 0 0; border: 4px solid transparent;
  background-repeat: no-repeat; background-size: {SIDE}px {SIDE}px; font-size: 12px; line-height: 22px;
}}
.judging .picture:disabled {{ opacity: 1; }}
.judging .round:not(:first-child) .picture:disabled {{ opacity: 0.8; }}
.judging .relevant {{ border: 4px solid {RIGHT}; }}
.judging .irrelevant {{ border: 4px dashed {WRONG}; }}
.judging button.jupyter-button:focus-visible {{ outline: 3px solid; outline-offset: 0; }}
</style>"""
INSTEAD = {
    "text/markdown": "*This page cannot search. The figures above show a session judged by the labels. "
    "To judge by clicking, open this notebook in Jupyter (`make lab`) and run it.*"
}


@dataclass(frozen=True)
class Collection:
    """A gallery to search and queries to choose from, of the data set in the folder `root`."""

    root: Path
    gallery: Part
    queries: Part


class Judging(widgets.VBox):
    """A session of relevance feedback by clicking, its rounds side by side.

    The first query is searched for until another one is chosen. A round shows `shown` images.
    """

    def __init__(self, collection: Collection, *, shown: int) -> None:
        self.collection, self.shown = collection, shown
        options = [(file, row) for row, file in enumerate(collection.queries.files.tolist())]
        self.query = widgets.Dropdown(options=options, description="Query")
        self.query.style.description_width = "auto"
        self.next = widgets.Button(description="Next round", button_style="primary", tooltip="search again")
        self.undo = widgets.Button(description="Undo", tooltip="take back the last mark or round")
        self.rounds = widgets.HBox(layout=widgets.Layout(overflow="auto hidden"))
        bar = widgets.HBox([self.query, self.next, self.undo, widgets.HTML(STYLE)])
        super().__init__([bar, self.rounds])
        self.add_class("judging")
        self.query.observe(self._ask, "value")
        self.next.on_click(lambda _: self._search(self.sessions[-1]))
        self.undo.on_click(self._undo)
        self._ask()

    def _ask(self, *_: object) -> None:
        """Starts a session with the chosen query."""
        root, queries, row = self.collection.root, self.collection.queries, self.query.value
        self.right = self.collection.gallery.categories == queries.categories[row]
        self.columns = [_column("", [root / queries.files[row]])]
        self.sessions: list[Session] = []
        (picture,) = self.columns[0].children[-1].children
        picture.description, picture.disabled = "query", True
        self._search(())

    def _undo(self, *_: object) -> None:
        # A second click may be under way before the first has switched the button off.
        if len(self.sessions) > 1:
            self.sessions.pop()
            self._show()

    def _mark(self, position: int, *_: object) -> None:
        self._go(mark(self.sessions[-1], position))

    def _search(self, session: Session) -> None:
        query = self.collection.queries.features[self.query.value]
        self._go(search(session, self.collection.gallery.features, query, shown=self.shown))

    def _go(self, session: Session) -> None:
        self.sessions.append(session)
        self._show()

    def _show(self) -> None:
        """Updates the view. Rounds that stay keep their widgets, because a new widget loses the focus."""
        session = self.sessions[-1]
        del self.columns[1 + len(session) :]
        for number in range(len(self.columns) - 1, len(session)):
            self.columns.append(self._round(session, number))
        for column, each in zip(self.columns[1:], session, strict=True):
            for picture, position in zip(column.children[-1].children, each.shown.tolist(), strict=True):
                _caption(picture, each.marks.get(position))
                picture.disabled = each is not session[-1]
        self.rounds.children = self.columns
        self.next.disabled, self.undo.disabled = not session[-1].marks, len(self.sessions) == 1

    def _round(self, session: Session, number: int) -> widgets.VBox:
        precision, new, right = score(session, number, self.right)
        heading = f"<b>round {number}</b>, precision@{self.shown} {precision:.2f}<br>"
        positions = session[number].shown.tolist()
        paths = [self.collection.root / file for file in self.collection.gallery.files[positions]]
        column = _column(f"{heading}{new} new ones, {right} of them right", paths)
        for picture, position in zip(column.children[-1].children, positions, strict=True):
            picture.on_click(partial(self._mark, position))
        return column


def show(collection: Collection, *, shown: int = 10) -> None:
    """Shows a `Judging` if there is somebody to click; otherwise a sentence says how to open one.

    A round shows `shown` images, at most as many as the gallery has.
    """
    # With every cell, the front end says whether there is somebody to ask. Under nbconvert there is not.
    clickable = get_ipython().get_parent()["content"]["allow_stdin"]
    view = Judging(collection, shown=shown)._repr_mimebundle_() if clickable else {}
    display(view | INSTEAD, raw=True)  # a page exported later shows the sentence


def _column(heading: str, paths: Iterable[Path]) -> widgets.VBox:
    """A heading, then images as buttons, two in a line; the style gives each button its picture."""
    pictures, rules = [], []
    for path in paths:
        name = f"picture-{sha256(bytes(path)).hexdigest()[:16]}"
        rules.append(f".{name} {{ background-image: url(data:image/jpeg;base64,{_jpeg(path)}); }}")
        pictures.append(widgets.Button(tooltip=path.stem).add_class("picture").add_class(name))
    style = f"<style>{' '.join(rules)}</style>"
    lines = widgets.GridBox(pictures).add_class("lines")
    return widgets.VBox([widgets.HTML(f"{style}{heading}"), lines]).add_class("round")


def _caption(picture: widgets.Button, mark: bool | None) -> None:
    picture.description = CAPTIONS[mark]
    for value, frame in FRAMES.items():
        (picture.add_class if mark is value else picture.remove_class)(frame)


@cache
def _jpeg(path: Path) -> str:
    """A thumbnail as JPEG, base64."""
    return b64encode(encoded(thumbnail(path), "JPEG", quality=85)).decode()
