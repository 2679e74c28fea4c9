"""Checks every artifact against the manifest: `python -m retrieval.commands.verify`, or `make verify`."""

import sys
from pathlib import Path

from retrieval.artifacts.store import Store
from retrieval.errors import RetrievalError, run
from retrieval.settings import read_settings


def verify(folder: Path) -> dict[str, str]:
    """What is wrong with each artifact of a folder's manifest, by name; "" if nothing is.

    Artifacts are checked against the manifest and one another, whatever the present settings are.
    A damaged manifest is a `RetrievalError`.
    """
    store = Store(folder, {})
    return {name: _problem(store, name) for name in store.manifest()}


def _problem(store: Store, name: str) -> str:
    try:
        # What the hash of an encoder covers is not worth starting TensorFlow for.
        store.check(name) if name.endswith(".keras") else store.load(name)
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
