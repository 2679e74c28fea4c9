"""No image file, however broken, stops or hangs the work: opening each is in broken_images.py."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from retrieval.settings import PROJECT

BROKEN_IMAGES = Path(__file__).with_name("broken_images.py")
PARTS = 2
# What opening one file may take: of processor time, and the process of memory.
SECONDS, KIB = 10, 2**20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such files")
def test_every_broken_image_is_used_or_reported_by_name(capsys):
    with ThreadPoolExecutor(PARTS) as pool:
        runs = list(pool.map(open_part, range(PARTS)))
    rows = [json.loads(line) for run in runs for line in run.stdout.splitlines()]
    with capsys.disabled():
        print(summary(rows))
    # libtiff prints errors of its own; neither warnings nor tracebacks may join them.
    assert not any(word in run.stderr for run in runs for word in ("Warning", "Traceback", "PIL"))
    assert len({row["name"] for row in rows}) == len(rows) >= 1000
    assert [row for row in rows if row["outcome"] not in ("used", "reported")] == []
    assert [row for row in rows if row["seconds"] > SECONDS or row["kib"] > KIB] == []


def open_part(part: int) -> subprocess.CompletedProcess:
    command = [sys.executable, BROKEN_IMAGES, str(part), str(PARTS)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "notebooks")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def summary(rows: list[dict]) -> str:
    counts = {kind: Counter() for kind in dict.fromkeys(row["kind"] for row in rows)}
    for row in rows:
        counts[row["kind"]][row["outcome"]] += 1
    lines = [f"{count.total():5} {kind:15} {dict(count)}" for kind, count in counts.items()]
    seconds, kib = (max(row[what] for row in rows) for what in ("seconds", "kib"))
    return "\n".join(
        ["", *lines, f"{len(rows):5} in all: at most {seconds:.1f} s and {kib // 1024} MiB each"]
    )


@pytest.mark.slow
def test_the_same_seed_breaks_the_same_way():
    cases = runpy.run_path(str(BROKEN_IMAGES))["cases"]
    one, same, other = (list(islice(cases(seed), 1000)) for seed in (3, 3, 4))
    assert [case.content for case in one] == [case.content for case in same]
    assert [case.content for case in one] != [case.content for case in other]
