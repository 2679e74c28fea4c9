"""Writes `bench.json` and its figure: `python -m retrieval.commands.bench`, or `make bench`."""

from __future__ import annotations

import json
import sys

from retrieval.artifacts.formats import write
from retrieval.artifacts.store import open_store
from retrieval.bench.measure import (
    ROUNDS,
    SIZES,
    _as_json,
    _exponents,
    _figure,
    _machine,
    left_out,
    measure,
    ratios,
    run,
    summarise,
)
from retrieval.errors import run as run_command
from retrieval.settings import read_settings
from retrieval.views import style


def main() -> None:
    if len(sys.argv) > 1:
        measured, contender, *sizes = sys.argv[1:]
        for size in sizes:
            print(json.dumps(measure(measured, contender, int(size))), flush=True)
        return
    settings = read_settings()
    store = open_store(settings)
    data, weights = store.load("dataset.json")["name"], store.load("weights.json")["name"]
    print(*left_out(SIZES), sep="\n")
    rows = run(SIZES, rounds=ROUNDS)
    table, divided, machine = summarise(rows), ratios(rows), _machine()
    write(
        settings.artifacts / "bench.json",
        {
            "machine": machine,
            "data": data,
            "weights": weights,
            "rounds": ROUNDS,
            "rows": _as_json(table),
            "exponents": _exponents(table),
            "ratios": divided,
        },
    )
    style.save(_figure(table), settings.artifacts / "figures" / "bench.png")
    print(table.to_string(float_format="{:.3g}".format, na_rep=""))
    print("\n".join(f"{name}: {value:.2f}" for name, value in divided.items()))
    print(f"\n{machine['processor']}, {machine['cores']} cores; {data}; {weights}; median of {ROUNDS} rounds")


if __name__ == "__main__":
    run_command(main)
