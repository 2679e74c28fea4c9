"""The folder of images that the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import scene


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two categories of six different images."""
    for category in range(2):
        folder = tmp_path / "set" / ("fox", "owl")[category]
        folder.mkdir(parents=True)
        for number in range(6):
            scene(10 * category + number).save(folder / f"{number}.jpg", quality=95)
    return tmp_path / "set"
