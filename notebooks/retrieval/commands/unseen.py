"""Categories held out of training, three draws: `python -m retrieval.commands.unseen`, or `make unseen`."""

from __future__ import annotations

import pandas as pd

from retrieval.artifacts.store import begin
from retrieval.errors import run
from retrieval.evaluation.intervals import compare, intervals
from retrieval.studies.unseen_categories import DRAWS, hold_out, measure


def main() -> None:
    settings, store, data = begin()
    rows = {}
    for draw in DRAWS:
        print(f"draw {draw}: held out {', '.join(hold_out(store.categories('train'), draw=draw))}")
        table = measure(store, settings, draw)
        tables = {name: each.reset_index() for name, each in table.groupby("encoder", sort=False)}
        for name, each in tables.items():
            rows[draw, name] = intervals(each, seed=settings.seed).value.to_dict()
        for name in ("fine-tuned", "interpolated"):
            difference = compare(tables[name], tables["plain"], seed=settings.seed)
            rows[draw, f"{name} - plain"] = {
                measure: f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}] {row.verdict}"
                for measure, row in difference.iterrows()
            }
    print(pd.DataFrame.from_dict(rows, orient="index").to_string(float_format="{:.4f}".format))
    print(f"\n{data['name']}; {store.load('weights.json')['name']}; unit length")


if __name__ == "__main__":
    run(main)
