"""Writes `report.html`, one file to send: `python -m retrieval.commands.report`, or `make report`."""

from retrieval.artifacts.store import open_store
from retrieval.commands.table import show
from retrieval.errors import RetrievalError, run, shown
from retrieval.files import write_atomically
from retrieval.settings import announce, read_settings
from retrieval.views.page import look_closely, render


def main() -> None:
    settings = read_settings()
    announce(settings)
    store = open_store(settings)
    results, problems = show(store)
    try:
        closeup = look_closely(store, settings.data, results, seed=settings.seed)
    except RetrievalError as error:
        closeup, problems = None, [*problems, f"no confusions, queries and map: {error}"]
        print(problems[-1])
    path, page = store.folder / "report.html", render(results, problems, closeup)
    write_atomically(path, lambda file: file.write_text(page, "utf-8"))
    print(f"{shown(path)}: {len(page.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
