"""Split and retrieval repeated for five seeds: `python -m retrieval.commands.seeds`, or `make seeds`."""

from retrieval.artifacts.store import begin
from retrieval.errors import run
from retrieval.studies.splits import SEEDS, repeat, spread, whole_set


def main() -> None:
    settings, store, data = begin()
    repeated = repeat(whole_set(store)[0], grouped=settings.split == "grouped")
    print(spread(repeated).round(4).to_string())
    print(
        f"\n{data['name']}: {data['images']} images, {data['categories']} categories; "
        f"{settings.split} split, seeds {', '.join(map(str, SEEDS))}; {store.load('weights.json')['name']}"
    )


if __name__ == "__main__":
    run(main)
