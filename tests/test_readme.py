"""What a person reads keeps what it promises: its links lead somewhere, its commands do what they say."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.settings import PROJECT

PAGES = {
    path: path.read_text("utf-8")
    for path in [
        *(
            PROJECT / name
            for name in ("README.md", "CONTRIBUTING.md", "artifacts/README.md", "data/README.md")
        ),
        *sorted((PROJECT / "docs").glob("*.md")),
    ]
}
README = PAGES[PROJECT / "README.md"]
LINKS = sorted(
    {(path, link) for path, text in PAGES.items() for link in re.findall(r"\]\((?!http)([^)]+)\)", text)}
)
# In backticks, or a line of its own.
COMMANDS = {
    (first or second).strip()
    for text in PAGES.values()
    for first, second in re.findall(r"`(make\b[^`…]*)`|^(make\b[^#\n]*)", text, re.MULTILINE)
}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize(
    ("page", "link"), LINKS, ids=[f"{page.relative_to(PROJECT)}: {link}" for page, link in LINKS]
)
def test_what_is_linked_is_there(page: Path, link: str) -> None:
    name, _, heading = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    assert target.exists()
    if heading:
        titles = re.findall(r"^#+ (.*)", PAGES[target], re.MULTILINE)
        # As GitHub makes them.
        assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_both_tables_beside_the_reported_figures_are_the_same() -> None:
    def table(text: str) -> str:
        return re.search(r"^\| features \| P@3 reported.*?\n\n", text, re.MULTILINE | re.DOTALL)[0]

    assert table(README) == table(PAGES[PROJECT / "docs/results.md"])


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_make_knows_the_commands(command: str, tmp_path: Path) -> None:
    # Of artifacts that are there, make would look at the data that the command names.
    elsewhere = [] if command == "make clean" else [f"ARTIFACTS={tmp_path}"]
    dry = ["make", "--dry-run", *elsewhere, *shlex.split(command)[1:]]
    done = subprocess.run(dry, cwd=PROJECT, capture_output=True, text=True, check=False)
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
        pytest.param("make report", "artifacts/report.html", marks=pytest.mark.slow),
        ("make verify", "artifacts are as recorded"),
        pytest.param("make seeds", "MobileNetV2, unit length", marks=pytest.mark.slow),
    ],
)
def test_commands_do_what_they_say(command: str, expected: str, project: Path) -> None:
    """Those that need no network, and no more than a minute. Settings are those of the run."""
    assert command in COMMANDS
    # Without the settings of a make that runs these tests.
    system = {"PATH": os.environ["PATH"], "HOME": str(project.parent)}
    environment = system | {"ARTIFACTS": "artifacts"}
    as_installed = ["make", "--assume-old=.venv/.installed", *command.split()[1:]]
    done = subprocess.run(
        as_installed, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert expected in done.stdout
