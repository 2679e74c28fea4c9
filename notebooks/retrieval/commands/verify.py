"""Checks every artifact against the manifest: `python -m retrieval.commands.verify`, or `make verify`."""

import sys
from pathlib import Path

from retrieval.artifacts.store import Store
from retrieval.errors import RetrievalError, run
from retrieval.search.retriever import GALLERY, MODEL, Retriever
from retrieval.settings import read_settings


def verify(folder: Path) -> dict[str, str]:
    """What is wrong with each artifact of a folder's manifest and each gallery, by name; "" if nothing is.

    Artifacts are checked against the manifest and one another, whatever the present settings are.
    A damaged manifest is a `RetrievalError`.
    """
    store = Store(folder, {})
    problems = {name: _problem(store, name) for name in store.manifest()}
    galleries = (name.replace(MODEL, GALLERY) for name in problems if name.endswith(f"/{MODEL}"))
    return problems | {name: _problem(store, name) for name in galleries}


def _problem(store: Store, name: str) -> str:
    try:
        if name.endswith(f"/{GALLERY}"):
            Retriever.load((store.folder / name).parent)
        elif name.endswith(".keras"):
            # What its hash covers is not worth starting TensorFlow for.
            store.check(name)
        else:
            store.load(name)
    except RetrievalError as error:
        return str(error)
    return ""


def main() -> None:
    problems = verify(read_settings().artifacts)
    if not problems:
        raise RetrievalError("there are no artifacts yet: run `make`")
    for name, problem in problems.items():
        print(f"{'damaged' if problem else 'ok':<8} {problem or name}")
    intact = sum(not problem for problem in problems.values())
    print(f"{intact} of {len(problems)} artifacts are as recorded")
    sys.exit(any(problems.values()))


if __name__ == "__main__":
    run(main)
