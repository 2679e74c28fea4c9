"""The table that ends a run: `python -m retrieval.commands.table`, or `make`."""

from retrieval.artifacts.store import Store, open_store
from retrieval.data.dataset import need_categories
from retrieval.errors import RetrievalError, run
from retrieval.evaluation import results as evaluated
from retrieval.settings import read_settings


def show(store: Store) -> tuple[dict[str, evaluated.Result], list[str]]:
    """Prints the table and what is missing from it, and returns `read_results`.

    Raises:
        RetrievalError: there is no result at all; names the notebook to run.
    """
    results, problems = evaluated.read_results(store)
    if not results:
        need_categories(store.load("dataset.json"))
        raise RetrievalError(problems[0])
    table = evaluated.rounded(evaluated.summary(results, evaluated.load_reported())).to_string()
    field = evaluated.field_figures(results).to_string(float_format="{:.3f}".format)
    remarks = [evaluated.caption(results), *evaluated.remarks(results), *problems]
    print(table, "", field, "", *remarks, sep="\n")
    return results, problems


def main() -> None:
    settings = read_settings()
    show(open_store(settings))
    print(f"\nTo look at: {settings.artifacts / 'notebooks'}/*.html, or `make report`")


if __name__ == "__main__":
    run(main)
