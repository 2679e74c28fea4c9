"""What several test modules share."""

from __future__ import annotations

import os
from importlib.util import find_spec
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


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, as a package for tests brings it."""
    package = find_spec("axe_playwright_python")
    if package is None:
        pytest.skip("needs axe-playwright-python")
    return (Path(package.submodule_search_locations[0]) / "axe.min.js").read_text("utf-8")


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
