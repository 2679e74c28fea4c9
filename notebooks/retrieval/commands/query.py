"""The images nearest to a picture: `make query IMAGE=photo.jpg`, or `python -m retrieval.commands.query`."""

import os

from retrieval.errors import RetrievalError, run, shown
from retrieval.settings import announce, read_settings, whole_number
from retrieval.views import style
from retrieval.views.query import K, show

LDA = {"": None, "on": True, "off": False}


def main() -> None:
    image = os.environ.get("IMAGE")
    if not image:
        raise RetrievalError("no IMAGE is named: make query IMAGE=photo.jpg")
    settings = read_settings()
    announce(settings)
    k = whole_number("K", os.environ, default=K, least=1)
    lda = os.environ.get("LDA", "")
    if lda not in LDA:
        raise RetrievalError(f"LDA={lda} is unknown: use on or off")
    figure = show(image, k=k, model=os.environ.get("MODEL", ""), after_lda=LDA[lda])
    path = settings.artifacts / "figures" / "query.png"
    style.save(figure, path)
    print(shown(path))


if __name__ == "__main__":
    run(main)
