"""What several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all six notebooks have been executed on the small data set; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("project")
    tiny.prepare(folder)
    done = tiny.run(*tiny.STEPS, folder=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder
