"""Categories held out of training, three draws: `python -m retrieval.commands.unseen`, or `make unseen`."""

from retrieval.artifacts.store import begin
from retrieval.errors import run
from retrieval.studies.unseen_categories import DRAWS, hold_out, measure, summary


def main() -> None:
    settings, store, data = begin()
    for draw in DRAWS:
        print(f"draw {draw}: held out {', '.join(hold_out(store.categories('train'), draw=draw))}")
        measure(store, settings, draw)
    print(summary(store, settings).to_string(float_format="{:.4f}".format))
    print(f"\n{data['name']}; {store.load('weights.json')['name']}; unit length")


if __name__ == "__main__":
    run(main)
