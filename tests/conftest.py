"""What several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tiny
from filelock import FileLock
from hypothesis import settings

from retrieval.settings import PROJECT

# For the processes that tests start.
os.environ["PYTHONPATH"] = str(PROJECT / "notebooks")
# How long an example takes says how busy the machine is.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with what takes longest: the other workers do the rest meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_killed.py")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Where all six notebooks have been executed on the small data set; tests leave it as it is."""
    return _shared(tmp_path_factory, worker_id, "six", lambda root: _execute(root, tiny.STEPS))


def _execute(root: Path, steps: list[str]) -> None:
    tiny.prepare(root)
    done = tiny.run(*steps, folder=root)
    assert done.returncode == 0, done.stderr[-3000:]


def _shared(factory: pytest.TempPathFactory, worker_id: str, name: str, make) -> Path:
    """A folder that one process fills and all use."""
    base = factory.getbasetemp() if worker_id == "master" else factory.getbasetemp().parent
    with FileLock(base / f"{name}.lock"):
        if not (base / f"{name}.made").exists():
            (base / name).mkdir()
            make(base / name)
            (base / f"{name}.made").touch()
    return base / name
