"""Split and retrieval repeated for five seeds: `python -m retrieval.commands.seeds`, or `make seeds`."""

from __future__ import annotations

from retrieval.artifacts.store import open_store
from retrieval.data.dataset import need_categories
from retrieval.data.duplicates import duplicate_groups, duplicate_pairs
from retrieval.data.inspection import from_json
from retrieval.errors import run
from retrieval.settings import read_settings
from retrieval.studies.splits import SEEDS, repeat, spread


def main() -> None:
    settings = read_settings()
    store = open_store(settings)
    need_categories(store.load("dataset.json"))
    vectors = store.load("mobilenetv2_all.npy")
    inspection = from_json(store.load("images.json"))
    groups = duplicate_groups(inspection.files, duplicate_pairs(inspection))
    repeated = repeat(vectors, inspection.files, groups if settings.split == "grouped" else None)
    data, weights = store.load("dataset.json"), store.load("weights.json")
    print(spread(repeated).round(4).to_string())
    print(
        f"\n{data['name']}: {data['images']} images, {data['categories']} categories; "
        f"{settings.split} split, seeds {', '.join(map(str, SEEDS))}; {weights['name']}"
    )


if __name__ == "__main__":
    run(main)
