"""The images nearest to a picture: `make query IMAGE=photo.jpg`, or `python -m retrieval.commands.query`."""

import os

from retrieval.errors import RetrievalError, run, shown
from retrieval.settings import announce, read_settings, whole_number
from retrieval.views import style
from retrieval.views.query import K, show


def main() -> None:
    image = os.environ.get("IMAGE")
    if not image:
        raise RetrievalError("no IMAGE is named: make query IMAGE=photo.jpg")
    settings = read_settings()
    announce(settings)
    k = whole_number("K", os.environ, default=K, least=1)
    figure = show(image, k=k, model=os.environ.get("MODEL", ""))
    path = settings.artifacts / "figures" / "query.png"
    style.save(figure, path)
    print(shown(path))


if __name__ == "__main__":
    run(main)
