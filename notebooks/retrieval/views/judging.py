"""Relevance feedback by clicking, in Jupyter: pictures are buttons, and each round is a new search."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from html import escape
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from IPython import get_ipython
from IPython.display import display

from retrieval.data.images import encoded
from retrieval.data.parts import Part
from retrieval.errors import RetrievalError
from retrieval.search.session import Session, mark, new, score, search
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


@dataclass(frozen=True)
class Collection:
    """A gallery to search and queries to choose from, of the data set in the folder `root`."""

    root: Path
    gallery: Part
    queries: Part


class Rounds(widgets.VBox):
    """A session of relevance feedback by clicking, its rounds side by side, for any way to choose a query.

    The widgets of `choice` begin a session by calling `ask`. A round shows `shown` images of the gallery,
    whose files are `paths`, `[n]`, and whose features are `[n, dim]`.
    """

    def __init__(
        self, choice: list[widgets.Widget], paths: Sequence[Path], features: np.ndarray, *, shown: int
    ) -> None:
        self.paths, self.features, self.shown = paths, features, shown
        self.sessions: list[Session] = []
        self.next = widgets.Button(description="Next round", button_style="primary", tooltip="search again")
        self.undo = widgets.Button(description="Undo", tooltip="take back the last mark or round")
        self.next.disabled = self.undo.disabled = True
        self.error = widgets.HTML()
        self.rounds = widgets.HBox(layout=widgets.Layout(overflow="auto hidden"))
        self.bar = widgets.HBox([*choice, self.next, self.undo, widgets.HTML(STYLE)])
        super().__init__([self.bar, self.error, self.rounds])
        self.add_class("judging")
        self.next.on_click(lambda _: self.attempt(self._search, self.query, self.columns, self.sessions))
        self.undo.on_click(self._undo)

    def ask(self, query: np.ndarray, picture: Path | bytes, *, name: str) -> None:
        """Begins a session with a query, `[dim]`; its picture is a file or the content of one.

        Raises:
            RetrievalError: a picture cannot be read; the session before stays.
        """
        column = _column("", [(name, picture)])
        (button,) = column.children[-1].children
        button.description, button.disabled = "query", True
        self._search(query, [column], [])

    def attempt(self, action: Callable[..., object], *arguments: object) -> None:
        """Does something; a RetrievalError is shown as one line."""
        self.error.value = ""
        try:
            action(*arguments)
        except RetrievalError as error:
            self.error.value = f'<span role="alert">{escape(str(error))}</span>'

    def heading(self, session: Session) -> str:
        """What stands above the last round, in two lines of HTML."""
        number = len(session) - 1
        return f"<b>round {number}</b><br>{new(session, number).sum()} new ones"

    def _search(self, query: np.ndarray, columns: list[widgets.VBox], sessions: list[Session]) -> None:
        """Adds a round to the last session. Nothing changes before all its pictures are read."""
        session = search(sessions[-1] if sessions else (), self.features, query, shown=self.shown)
        positions = session[-1].shown.tolist()
        column = _column(
            self.heading(session), [(self.paths[row].stem, self.paths[row]) for row in positions]
        )
        for picture, position in zip(column.children[-1].children, positions, strict=True):
            picture.on_click(partial(self._mark, position))
        self.query, self.columns, self.sessions = query, [*columns, column], [*sessions, session]
        self._show()

    def _undo(self, *_: object) -> None:
        # A second click may be under way before the first has switched the button off.
        if len(self.sessions) > 1:
            self.sessions.pop()
            self._show()

    def _mark(self, position: int, *_: object) -> None:
        self.sessions.append(mark(self.sessions[-1], position))
        self._show()

    def _show(self) -> None:
        """Updates the view. Rounds that stay keep their widgets, because a new widget loses the focus."""
        session = self.sessions[-1]
        del self.columns[1 + len(session) :]
        for column, each in zip(self.columns[1:], session, strict=True):
            for picture, position in zip(column.children[-1].children, each.shown.tolist(), strict=True):
                _caption(picture, each.marks.get(position))
                picture.disabled = each is not session[-1]
        self.rounds.children = self.columns
        self.next.disabled, self.undo.disabled = not session[-1].marks, len(self.sessions) == 1


class Judging(Rounds):
    """Rounds for a query of a collection: the first one, until another one is chosen."""

    def __init__(self, collection: Collection, *, shown: int) -> None:
        self.collection, gallery = collection, collection.gallery
        options = [(file, row) for row, file in enumerate(collection.queries.files.tolist())]
        self.choice = widgets.Dropdown(options=options, description="Query")
        self.choice.style.description_width = "auto"
        paths = [collection.root / file for file in gallery.files]
        super().__init__([self.choice], paths, gallery.features, shown=shown)
        self.choice.observe(self._ask, "value")
        self._ask()

    def heading(self, session: Session) -> str:
        number = len(session) - 1
        precision, count, right = score(session, number, self.right)
        first = f"<b>round {number}</b>, P@{self.shown} {precision:.2f}"
        return f"{first}<br>{count} new ones, {right} of them right"

    def _ask(self, *_: object) -> None:
        queries, row = self.collection.queries, self.choice.value
        self.right = self.collection.gallery.categories == queries.categories[row]
        path = self.collection.root / queries.files[row]
        self.ask(queries.features[row], path, name=path.stem)


def show(collection: Collection, *, shown: int = 10) -> None:
    """Shows a `Judging`, as `live`. A round shows `shown` images, at most as many as the gallery has."""
    instead = "The figures above show a session judged by the labels. To judge by clicking"
    live(partial(Judging, collection, shown=shown), instead)


def live(made: Callable[[], widgets.Widget], instead: str) -> None:
    """Shows a widget if there is somebody to click; otherwise a sentence says how to open one."""
    # With every cell, the front end says whether there is somebody to ask. Under nbconvert there is not.
    clickable = get_ipython().get_parent()["content"]["allow_stdin"]
    view = made()._repr_mimebundle_() if clickable else {}
    text = f"*This page cannot search. {instead}, open this notebook in Jupyter (`make lab`) and run it.*"
    display(view | {"text/markdown": text}, raw=True)  # a page exported later shows the sentence


def _column(heading: str, named: Iterable[tuple[str, Path | bytes]]) -> widgets.VBox:
    """A heading, then images as buttons, two in a line; the style gives each button its picture."""
    pictures, rules = [], []
    for title, source in named:
        name = f"picture-{sha256(bytes(source)).hexdigest()[:16]}"
        rules.append(f".{name} {{ background-image: url(data:image/jpeg;base64,{_jpeg(source)}); }}")
        pictures.append(widgets.Button(tooltip=title).add_class("picture").add_class(name))
    style = f"<style>{' '.join(rules)}</style>"
    lines = widgets.GridBox(pictures).add_class("lines")
    return widgets.VBox([widgets.HTML(f"{style}{heading}"), lines]).add_class("round")


def _caption(picture: widgets.Button, mark: bool | None) -> None:
    picture.description = CAPTIONS[mark]
    for value, frame in FRAMES.items():
        (picture.add_class if mark is value else picture.remove_class)(frame)


@cache
def _jpeg(source: Path | bytes) -> str:
    """A thumbnail as JPEG, base64."""
    return b64encode(encoded(thumbnail(source), "JPEG", quality=85)).decode()
