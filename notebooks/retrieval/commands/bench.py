"""Writes `bench.json` and its figure: `python -m retrieval.commands.bench`, or `make bench`."""

import json
import sys

from retrieval.artifacts.formats import write
from retrieval.artifacts.store import open_store
from retrieval.bench import measure
from retrieval.bench.measure import ROUNDS, SIZES
from retrieval.errors import run as run_command
from retrieval.settings import read_settings
from retrieval.views import style


def main() -> None:
    if len(sys.argv) > 1:
        measured, contender, *sizes = sys.argv[1:]
        for size in sizes:
            print(json.dumps(measure.measure(measured, contender, int(size))), flush=True)
        return
    settings = read_settings()
    store = open_store(settings)
    data, weights = store.load("dataset.json")["name"], store.load("weights.json")["name"]
    print(*measure.left_out(SIZES), sep="\n")
    rows = measure.run(SIZES, rounds=ROUNDS)
    table, ratios, machine = measure.summarise(rows), measure.ratios(rows), measure.machine()
    content = {"machine": machine, "data": data, "weights": weights, "rounds": ROUNDS}
    content |= {"rows": measure.as_json(table), "exponents": measure.exponents(table), "ratios": ratios}
    write(settings.artifacts / "bench.json", content)
    style.save(measure.figure(table), settings.artifacts / "figures" / "bench.png")
    print(table.to_string(float_format="{:.3g}".format, na_rep=""))
    print("\n".join(f"{name}: {value:.2f}" for name, value in ratios.items()))
    print(f"\n{machine['processor']}, {machine['cores']} cores; {data}; {weights}; median of {ROUNDS} rounds")


if __name__ == "__main__":
    run_command(main)
