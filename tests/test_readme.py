"""The README keeps what it promises: its example runs, its commands and files exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from retrieval.settings import PROJECT

README = (PROJECT / "README.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    first or second for first, second in re.findall(r"`(make\b[^`]*)`|^(make\b[^#\n]*)", README, re.MULTILINE)
]
LINKS = re.findall(r"\]\((?!http)([^)#]+)\)", README)


def test_the_encoder_of_the_example_is_measured(folder: Path, tmp_path: Path) -> None:
    (example,) = EXAMPLES
    assert len([line for line in example.splitlines() if line.strip()]) < 15
    shutil.copytree(folder / "artifacts", tmp_path / "artifacts")
    environment = os.environ | tiny.environment(folder) | {"ARTIFACTS": str(tmp_path / "artifacts")}
    done = subprocess.run(
        [sys.executable, "-c", example], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # Each category has a colour of its own, which the example's encoder sees.
    assert float(re.search(r"P@3 (\S+)", done.stdout)[1]) > 0.9


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.parametrize("command", sorted({command.strip() for command in COMMANDS}))
def test_make_knows_the_commands(command: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", *command.split()[1:]], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_what_is_linked_is_there(link: str) -> None:
    assert (PROJECT / link).exists()
