"""Sets int8 beside float32: `PYTHONPATH=notebooks .venv/bin/python docs/measure_int8.py FLOAT32 INT8`.

Both are folders of artifacts of the same trained encoders. To get the second from the first: `cp -r artifacts
artifacts-int8`, then `make ARTIFACTS=artifacts-int8 PRECISION=int8`, which trains nothing again.
"""

import sys

import pandas as pd

from retrieval.artifacts.store import open_store
from retrieval.evaluation import intervals
from retrieval.evaluation.results import read_results, title
from retrieval.settings import kept, path_of


def compare(float32: str, int8: str) -> pd.DataFrame:
    """What int8 changes, as `intervals.compare`, for every method that has results in both folders."""
    stores = [open_store(kept(path_of(folder))) for folder in (int8, float32)]
    names = [name for name in read_results(stores[0])[0] if name in read_results(stores[1])[0]]
    return pd.concat(
        {
            title(name): intervals.compare(
                *(store.load(f"results/{name}_queries.csv") for store in stores), seed=0
            )
            for name in names
        }
    )


if __name__ == "__main__":
    print(compare(*sys.argv[1:]).to_string(float_format="{:.4f}".format))
