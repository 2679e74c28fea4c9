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


@pytest.fixture(scope="module")
def project(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this project, with what the notebooks wrote of the small data set, and a photograph."""
    root = tmp_path_factory.mktemp("readme") / "project"
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    shutil.copytree(PROJECT / "notebooks", root / "notebooks", ignore=ignored)
    shutil.copytree(folder / "artifacts", root / "artifacts")
    shutil.copy(PROJECT / "Makefile", root)
    shutil.copy(next((folder / "photos").rglob("*.png")), root / "photo.jpg")
    (root / ".venv").symlink_to(sys.prefix)
    return root


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("make help", "query"),
        ("make query IMAGE=photo.jpg", "artifacts/figures/query.png"),
        ("make report", "artifacts/report.html"),
        ("make verify", "artifacts are as recorded"),
        ("make seeds", "MobileNetV2, unit length"),
    ],
)
def test_commands_do_what_they_say(command: str, expected: str, project: Path, folder: Path) -> None:
    """Those that need no network, and no more than a minute."""
    assert command in COMMANDS
    # Without the settings of a make that runs these tests.
    system = {"PATH": os.environ["PATH"], "HOME": str(project.parent)}
    environment = system | tiny.environment(folder) | {"ARTIFACTS": "artifacts"}
    as_installed = ["make", "--assume-old=.venv/.installed", *command.split()[1:]]
    done = subprocess.run(
        as_installed, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert expected in done.stdout


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_what_is_linked_is_there(link: str) -> None:
    assert (PROJECT / link).exists()
