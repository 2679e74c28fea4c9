"""Query by example, in Jupyter: any picture asks, and the marks on its results ask again."""

from html import escape
from pathlib import Path

import ipywidgets as widgets
import numpy as np

from retrieval.artifacts.store import Store
from retrieval.data.images import encoded
from retrieval.errors import shown as on_one_line
from retrieval.search.retriever import Retriever
from retrieval.views.grids import thumbnail
from retrieval.views.judging import Rounds, live
from retrieval.views.query import K, file_of, open_retriever


class QueryByExample(Rounds):
    """Rounds for a picture that is chosen or whose file is named; nothing is known of its category."""

    def __init__(self, retriever: Retriever, *, shown: int = K) -> None:
        self.retriever, self.verdict = retriever, widgets.HTML()
        # Jupyter's server drops a larger message without a word.
        self.upload = widgets.FileUpload(description="Choose a picture, up to 10 MB", accept="image/*")
        self.upload.layout.width = "auto"
        self.path = widgets.Text(description="or its path", placeholder="~/a.jpg", continuous_update=False)
        paths = [retriever.root / file for file in retriever.files]
        super().__init__([self.upload, self.path], paths, self._compared(retriever.features), shown=shown)
        self.children = [self.bar, self.verdict, self.error, self.rounds]
        self.upload.observe(self._chosen, "value")
        self.path.observe(self._named, "value")

    def _compared(self, features: np.ndarray) -> np.ndarray:
        return self.retriever.compared(features, after_lda=self.retriever.uses_lda)

    def _chosen(self, change: dict) -> None:
        for file in change["new"]:
            # A notebook that is saved with its widgets must not keep the picture.
            self.upload.value, self.path.value = (), ""
            self.attempt(self._search_for, file["content"].tobytes(), file["name"])

    def _named(self, change: dict) -> None:
        if text := change["new"].strip():
            self.attempt(lambda: self._search_for(file_of(text), Path(text).name))

    def _search_for(self, source: Path | bytes, name: str) -> None:
        query = self.retriever.model.encode(source)
        answer = self.retriever.search(query, 1)
        # Of an upload, the thumbnail alone stays in memory.
        self.ask(self._compared(query[np.newaxis])[0], encoded(thumbnail(source), "PNG"), name=name)
        self.verdict.value = escape(f"{on_one_line(name)}: {answer.verdict}")


def show(store: Store, root: Path) -> None:
    """Shows a `QueryByExample` of the best model, as `live`; arguments and errors as `open_retriever`."""
    instead = "The figure above is an example. To search with a picture of your own"
    live(lambda: QueryByExample(open_retriever(store, root)), instead)
