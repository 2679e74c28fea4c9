"""What several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with what takes longest: the other workers do the rest meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_killed.py")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all six notebooks have been executed on the small data set; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("project")
    tiny.prepare(folder)
    done = tiny.run(*tiny.STEPS, folder=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder
