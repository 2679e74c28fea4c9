"""A gallery that grows: `make add IMAGES=folder` and `make remove IMAGES=folder`."""

import os
import sys

from retrieval.artifacts.store import open_store
from retrieval.errors import RetrievalError, run
from retrieval.settings import announce, path_of, read_settings
from retrieval.views.query import open_retriever


def main() -> None:
    (command,) = sys.argv[1:]
    images = os.environ.get("IMAGES")
    if not images:
        raise RetrievalError(f"no IMAGES are named: make {command} IMAGES=folder")
    settings, path = read_settings(), path_of(images)
    announce(settings)
    retriever = open_retriever(open_store(settings), settings.data, os.environ.get("MODEL", ""))
    if command == "add":
        print(retriever.add(path))
    elif inside := retriever.inside(path):
        print(f"removed: {len(retriever.remove(inside))} images")
    else:
        raise RetrievalError(f"the gallery has no image in {path}")
    print(f"the gallery of {retriever.model.about['name']} now has {len(retriever.files)} images")


if __name__ == "__main__":
    run(main)
