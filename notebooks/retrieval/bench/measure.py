"""What the steps cost on this machine, and how that grows.

Contenders take turns, round after round: what slows the machine down for a while slows all of them down.
Each runs in a process of its own, which makes its peak of memory its own.
"""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from retrieval.bench.contenders import CONTENDERS, DIMENSIONS
from retrieval.bench.memory import peak_memory
from retrieval.errors import RetrievalError
from retrieval.progress import bar
from retrieval.views import plots

Sizes = Mapping[str, Sequence[int]]  # images, or rows of a gallery; `search` takes the features as they are

ROUNDS = 5
HEADLINE: Sizes = {"extraction": (1000,), "training": (256,), "search": (1,)}
EVERYTHING: Sizes = {
    "extraction": (250, 500, 1000, 2000),
    "training": (64, 128, 256, 512),
    "adding": (64, 128, 256, 512),
    "search": (1,),
    "search after LDA": (1,),
    "growing gallery": (125_000, 250_000, 500_000, 1_000_000),
}
# Bytes that a value of the gallery takes: float32 and what is prepared, which SciPy's tree has in float64.
BYTES = {"exact": 8, "KD-tree": 12}
SHARE = 0.8  # of the machine's memory that a gallery may take
PACKAGES = {"FAISS, flat": "faiss"}
# What is measured, and the two contenders whose seconds are divided.
RATIOS = {
    "extraction_vs_predict": ("extraction", "model.predict", "this project"),
    "extraction_vs_limit": ("extraction", "inference alone", "this project"),
    "int8_vs_float32": ("extraction", "this project", "this project, int8"),
    "exact_vs_kdtree": ("search", "KD-tree", "exact"),
    "exact_vs_product": ("search", "matrix product", "exact"),
    "training_vs_plain_keras": ("training", "plain Keras", "decoded once"),
}
# Of the figure, by title: what is measured, what its sizes count, and the contenders, our own second.
PANELS = {
    "extraction": ("extraction", "images", ["model.predict", "this project", "this project, int8"]),
    "an epoch of training": ("training", "images", ["plain Keras", "decoded once"]),
    "a query, 1280 dimensions": ("growing gallery", "rows", ["KD-tree", "exact"]),
}


def run(sizes: Sizes, *, rounds: int) -> pd.DataFrame:
    """Measurements of every contender whose package is installed and whose gallery fits into memory.

    Sizes are in ascending order, by the keys of CONTENDERS.

    Returns:
        A row per measurement: `round`, `measured`, `contender`, `size`, `seconds` (per query if there are
        queries) and `memory` (peak, in bytes).

    Raises:
        RetrievalError: a contender failed.
    """
    contenders = [(measured, name) for measured in sizes for name in CONTENDERS[measured]]
    turns = [(number, *each) for number in range(rounds) for each in contenders if _is_installed(each[1])]
    rows = []
    with bar(turns, unit="turn") as progress:
        for number, measured, contender in progress:
            progress.set_description(f"{measured}: {contender}")
            found = apart(measured, contender, fitting(contender, sizes[measured]))
            rows += [{"round": number, **row} for row in found]
    return pd.DataFrame(rows)


def fitting(contender: str, sizes: Sequence[int]) -> list[int]:
    """The sizes of a gallery that fit into this machine's memory; all of them if there is no gallery."""
    return [size for size in sizes if size * DIMENSIONS * BYTES.get(contender, 0) <= SHARE * _memory()]


def left_out(sizes: Sizes) -> list[str]:
    """What `run` will not measure, and why: a line per contender."""
    lines = []
    for measured, contender in [(kind, name) for kind in sizes for name in CONTENDERS[kind]]:
        too_large = sorted(set(sizes[measured]) - set(fitting(contender, sizes[measured])))
        if not _is_installed(contender):
            lines.append(f"{contender}: left out, install requirements-scale.txt to have it measured")
        elif too_large:
            lines.append(f"{measured}, {contender}: from {too_large[0]:,} rows on, the memory is too small")
    return lines


def apart(measured: str, contender: str, sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Rows of `run`, measured in another process, smallest size first; the largest sets the peak of memory.

    Raises:
        RetrievalError: it failed.
    """
    return map(json.loads, _elsewhere(measured, contender, *map(str, sizes)).splitlines())


def keep_encoders() -> None:
    """Keeps what `extraction` takes. Done here, its memory would count for every process that is started."""
    _elsewhere("encoders")


def _elsewhere(*arguments: str) -> str:
    """What `commands.bench` prints in another process."""
    command = [sys.executable, "-m", "retrieval.commands.bench", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["killed"])[-1]
        raise RetrievalError(f"bench: {', '.join(arguments[:2])}: {reason}")
    return done.stdout


def measure(measured: str, contender: str, size: int) -> dict[str, Any]:
    """A row of `run`, measured in this process."""
    with TemporaryDirectory() as scratch:
        work = CONTENDERS[measured][contender](size, Path(scratch))
        start = perf_counter()
        found = work()
        seconds = perf_counter() - start
    row = {"measured": measured, "contender": contender, "size": size, "memory": peak_memory()}
    return row | {"seconds": seconds if found is None else seconds / len(found)}


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per `measured`, `contender` and `size`: what the rounds gave.

    Returns:
        Columns `seconds` (median), `least`, `most`, `memory_mb` (highest) and `exponent`: seconds grow with
        the size to the power of it. It is NaN if a contender has a single size.
    """
    grouped = rows.groupby(["measured", "contender", "size"], sort=False)
    table = grouped.agg(
        seconds=("seconds", "median"),
        least=("seconds", "min"),
        most=("seconds", "max"),
        memory_mb=("memory", lambda peaks: peaks.max() / 2**20),
    )
    exponents = table.seconds.groupby(level=[0, 1]).agg(_exponent)
    return table.join(exponents.rename("exponent"))


def ratios(rows: pd.DataFrame) -> dict[str, float]:
    """The RATIOS of seconds at the largest size: a ratio per round, and the median of the rounds."""
    largest = rows.sort_values("size").groupby(["measured", "contender", "round"]).seconds.last()
    return {
        name: float((largest[measured, other] / largest[measured, own]).median())
        for name, (measured, other, own) in RATIOS.items()
    }


def notebooks(folder: Path) -> dict[str, float]:
    """The seconds that each executed notebook took when it last ran; what it found finished took none."""
    paths = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.ipynb")}
    seconds = {name: json.loads(paths[name].read_text("utf-8"))["metadata"].get("seconds") for name in paths}
    return {name: seconds[name] for name in sorted(paths) if seconds[name] is not None}


def _exponent(seconds: pd.Series) -> float:
    sizes = seconds.index.get_level_values("size")
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]) if len(sizes) > 1 else float("nan")


def _is_installed(contender: str) -> bool:
    return contender not in PACKAGES or find_spec(PACKAGES[contender]) is not None


def _memory() -> int:
    """The memory of the machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system, and the versions of the libraries that are measured."""
    processor = platform.processor()
    with suppress(OSError, IndexError):
        processor = re.findall("model name.*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))[0]
    packages = ("numpy", "scipy", "scikit-learn", "tensorflow", "ai-edge-litert")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_mb": _memory() // 2**20,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def figure(table: pd.DataFrame) -> Figure:
    """Seconds over size, a panel per PANELS, from what `summarise` gives."""
    panels = {
        title: table.seconds[measured].unstack("contender", sort=False)[names].rename_axis(counted)
        for title, (measured, counted, names) in PANELS.items()
    }
    return plots.log_panels(panels, ylabel="seconds")


def as_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """What `summarise` gives, as `bench.json` has its `rows`."""
    rows = table.drop(columns="exponent").reset_index("size")
    rows["what"] = [f"{measured}: {contender}" for measured, contender in rows.index]
    return json.loads(rows.to_json(orient="records"))


def exponents(table: pd.DataFrame) -> dict[str, float]:
    """The exponents of what `summarise` gives, by "measured: contender"."""
    known = table.exponent.dropna()
    return {f"{name[0]}: {name[1]}": float(known[name]) for name in known.index}
