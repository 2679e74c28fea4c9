"""Writes `bench.json`: `python -m retrieval.commands.bench [all]`, or `make bench` and `make bench-all`."""

import json
import sys

from retrieval.artifacts.formats import write
from retrieval.artifacts.store import open_store
from retrieval.bench import contenders, measure
from retrieval.bench.measure import EVERYTHING, HEADLINE, ROUNDS
from retrieval.errors import run as run_command
from retrieval.settings import read_settings
from retrieval.views import style


def main() -> None:
    if len(sys.argv) > 2:
        measured, contender, *sizes = sys.argv[1:]
        for size in sizes:
            print(json.dumps(measure.measure(measured, contender, int(size))), flush=True)
        return
    settings = read_settings()
    if sys.argv[1:] == ["encoders"]:
        contenders.keep_encoders(open_store(settings), settings)
        return
    chosen = EVERYTHING if sys.argv[1:] == ["all"] else HEADLINE
    store = open_store(settings)
    data, weights = store.load("dataset.json")["name"], store.load("weights.json")["name"]
    measure.keep_encoders()
    print(*measure.left_out(chosen), sep="\n")
    rows = measure.run(chosen, rounds=ROUNDS)
    table, ratios, machine = measure.summarise(rows), measure.ratios(rows), measure.machine()
    content = {"machine": machine, "data": data, "weights": weights, "rounds": ROUNDS}
    content |= {"rows": measure.as_json(table), "exponents": measure.exponents(table), "ratios": ratios}
    content |= {"notebooks": measure.notebooks(settings.artifacts / "notebooks")}
    write(settings.artifacts / "bench.json", content)
    if chosen is EVERYTHING:
        style.save(measure.figure(table), settings.artifacts / "figures" / "bench.png")
    print(table.to_string(float_format="{:.3g}".format, na_rep=""))
    print("\n".join(f"{name}: {value:.2f}" for name, value in ratios.items()))
    print(f"\n{machine['processor']}, {machine['cores']} cores; {data}; {weights}; median of {ROUNDS} rounds")


if __name__ == "__main__":
    run_command(main)
