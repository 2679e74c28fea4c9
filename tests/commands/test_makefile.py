"""What make runs, and when: the real Makefile around a stand-in for the virtual environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import pytest
import tiny

from retrieval.settings import NAMES, PROJECT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")

STEPS, MORE = tiny.STEPS, tiny.MORE
# Logs what it is asked to run, and does as little as make needs.
STAND_IN = r"""#!/bin/sh
echo "$2 $3" >> log
case "${2#retrieval.commands.}" in
  changes) test "$3" = look || mkdir -p "$ARTIFACTS"
    echo "$SEED $DATA" | cmp -s - "$ARTIFACTS/settings.txt" ||
      case "$3" in look) echo changed ;; *) echo "$SEED $DATA" > "$ARTIFACTS/settings.txt" ;; esac ;;
  run) test "$3" != "$FAIL" && mkdir -p "$ARTIFACTS/notebooks/more" &&
    touch "$ARTIFACTS/$3" ;;
  pip) test -z "$FAIL" && sleep "${INSTALLING:-0}" && echo "$2 ended" >> log ;;
  query) echo "$IMAGE; $DATA; $K" >> log ;;
  jupyter) echo "$@" >> log ;;
  verify) echo "$HOME" >> log ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "a project"
    for name in ("notebooks/retrieval/evaluation/metrics.py", "notebooks/more/README.md", "requirements.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for step in STEPS + MORE:
        (root / f"notebooks/{step}.ipynb").touch()
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/lib/python3.11/site-packages").mkdir(parents=True)
    for name in ("python", "pip"):
        (root / f".venv/bin/{name}").write_text(STAND_IN)
        (root / f".venv/bin/{name}").chmod(0o755)
    for name in ("requirements-dev.txt", "requirements-all.txt", "requirements-scale.txt"):
        (root / name).touch()
    (root / ".venv/.installed").touch()
    shutil.copy(PROJECT / "Makefile", root)
    age(root)
    return root


def age(root: Path) -> None:
    """Gives all files the same, older time: all is up to date until one is touched."""
    then = time.time() - 1000
    for path in root.rglob("*"):
        os.utime(path, (then, then))


def make(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    (root / "log").unlink(missing_ok=True)
    clean = {"PATH": os.environ["PATH"], "HOME": str(root.parent)}
    return subprocess.run(
        ["make", *arguments], cwd=root, env=clean | environment, capture_output=True, text=True
    )


def steps_run(root: Path) -> list[str]:
    log = (root / "log").read_text().splitlines()
    ran = [line.split()[1] for line in log if line.startswith("retrieval.commands.run")]
    return [name.removeprefix("notebooks/").removesuffix(".ipynb") for name in ran]


def test_all_notebooks_run_in_order_then_only_the_table(project: Path) -> None:
    assert make(project).returncode == 0
    assert steps_run(project) == STEPS
    make(project)
    assert (project / "log").read_text().split() == ["retrieval.commands.changes", "retrieval.commands.table"]


def test_a_dry_run_tells_what_a_run_would_do(project: Path) -> None:
    assert make(project, "-q").returncode == 1
    dry = make(project, "-n")
    assert [f"run notebooks/{step}.ipynb" in dry.stdout for step in STEPS] == [True] * 6 and not dry.stderr
    assert not (project / "artifacts").exists()
    make(project)
    age(project)
    assert make(project, "-q").returncode == 0
    assert "commands.run" not in make(project, "-n").stdout
    for change in ("SEED=1", "DATA=it's $5, #1"):
        assert make(project, "-q", change).returncode == 1
        assert "commands.run" in make(project, "-n", change).stdout
    # Nothing was written, so there still is nothing to do.
    assert make(project, "-q").returncode == 0
    assert "retrieval.commands.run" not in (project / "log").read_text()
    (project / ".venv/bin/python").unlink()
    assert make(project, "-n").stderr == ""


def test_in_parallel_targets_still_take_turns(project: Path) -> None:
    assert make(project, "-j4", "all", "more", "report").returncode == 0
    assert steps_run(project) == STEPS + MORE
    assert (project / "log").read_text().endswith("table \nretrieval.commands.report \n")


@pytest.mark.parametrize(
    "edited, rerun",
    [
        ("notebooks/05_feature_fusion.ipynb", STEPS[4:]),
        ("notebooks/01_split.ipynb", STEPS),
        ("notebooks/retrieval/evaluation/metrics.py", STEPS),
        ("requirements.txt", []),
    ],
)
def test_an_edit_reruns_what_rests_on_it(project: Path, edited: str, rerun: list[str]) -> None:
    make(project)
    age(project)
    (project / edited).touch()
    assert make(project).returncode == 0
    assert steps_run(project) == rerun


def test_another_setting_reruns_all_and_reaches_the_notebooks(project: Path) -> None:
    make(project)
    age(project)
    make(project, "SEED=1", "DATA=~/my photos")
    assert steps_run(project) == STEPS
    assert (project / "artifacts/settings.txt").read_text() == "1 ~/my photos\n"
    age(project)
    make(project, SEED="1", DATA="~/my photos")
    assert steps_run(project) == []


@pytest.mark.parametrize("name", ["out", "my$photos", "#1", "(a)&b'c\"d\\e", "größe"])
def test_results_can_go_elsewhere(project: Path, name: str) -> None:
    make(project, f"ARTIFACTS=~/{name}")
    assert (project.parent / name / "notebooks/06_rocchio_feedback.ipynb").exists()
    assert make(project, "-q", ARTIFACTS=f"~/{name}").returncode == 0
    assert not (project / "artifacts").exists()


@pytest.mark.parametrize("name", ["a b", "50%", "c:d", "*", "a?", "[ab]", "a;b", "a|b"])
def test_a_folder_that_make_cannot_name_is_one_line(project: Path, name: str) -> None:
    refused = make(project, f"ARTIFACTS={name}")
    assert "choose another" in refused.stderr and refused.stderr.count("\n") == 1
    assert not (project / "log").exists()


def test_a_query_runs_no_notebook_and_takes_names_literally(project: Path) -> None:
    image, data = "~/cost $5 #1 '\".jpg", "my $photos, $(HOME)"
    literally = f"retrieval.commands.query \n{image}; {data}; 3\n"
    assert make(project, "query", f"IMAGE={image}", f"DATA={data}", "K=3").returncode == 0
    assert (project / "log").read_text() == literally
    make(project, "query", IMAGE=image, DATA=data, K="3")
    assert (project / "log").read_text() == literally


def test_jupyter_takes_options_and_runs_as_root(project: Path) -> None:
    make(project, "lab", "LAB=--ip=0.0.0.0 --no-browser")
    assert "-m jupyter lab notebooks --allow-root --ip=0.0.0.0 --no-browser" in (project / "log").read_text()


def test_without_a_home_to_write_to_libraries_get_one(project: Path) -> None:
    for home in (str(project), "/nowhere"):
        make(project, "verify", HOME=home)
        made = home if home == str(project) else f"{project}/artifacts/.home"
        assert (project / "log").read_text().splitlines()[1:] == [made]


def test_the_others_run_after_the_six_all_or_one(project: Path) -> None:
    assert make(project, MORE[3]).returncode == 0
    assert steps_run(project) == [*STEPS, MORE[3]]
    assert make(project, "more").returncode == 0
    assert steps_run(project) == [*MORE[:3], *MORE[4:]]
    make(project, "more")
    assert (project / "log").read_text().split() == ["retrieval.commands.changes", "retrieval.commands.table"]


def test_the_package_is_imported_from_any_folder_even_if_the_clone_has_moved(project: Path) -> None:
    packages = project / ".venv/lib/python3.11/site-packages"
    (project / "requirements.txt").touch()
    assert make(project, "report").returncode == 0
    target = (packages / (packages / "retrieval.pth").read_text().strip()).resolve()
    assert target == (project / "notebooks").resolve()


def test_a_failed_notebook_stops_make_which_goes_on_there(project: Path) -> None:
    assert make(project, FAIL=f"notebooks/{STEPS[2]}.ipynb").returncode == 2
    assert steps_run(project) == STEPS[:3]
    make(project)
    assert steps_run(project) == STEPS[2:]


def test_a_failed_install_is_tried_again(project: Path) -> None:
    (project / "requirements.txt").touch()
    (project / ".venv/.installed").unlink()
    assert make(project, "report", FAIL="yes").returncode == 2
    assert not (project / ".venv/.installed").exists()
    assert make(project, "report").returncode == 0
    assert (project / ".venv/.installed").exists()


@pytest.mark.skipif(not shutil.which("flock"), reason="needs flock")
def test_two_installs_at_once_take_turns(project: Path) -> None:
    (project / ".venv/.installed").unlink()
    slow = {"PATH": os.environ["PATH"], "INSTALLING": "0.3"}
    runs = [subprocess.Popen(["make", "report"], cwd=project, env=slow, stdout=PIPE) for _ in range(2)]
    assert b"waiting" in b"".join(run.communicate()[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    log = [line for line in (project / "log").read_text().splitlines() if line.startswith("pip")]
    assert log == ["pip --version", "pip ended", "pip install", "pip ended"] * 2


def test_an_environment_without_pip_gets_it(project: Path) -> None:
    (project / ".venv/.installed").unlink()
    make(project, "report", FAIL="yes")
    assert (project / "log").read_text().split("\n")[1:3] == ["pip --version", "ensurepip "]


def unfit(path: Path) -> Path:
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("gone", [True, False])
def test_an_environment_that_cannot_be_used_is_one_line(project: Path, gone: bool) -> None:
    python = unfit(project / ".venv/bin/python")
    (project / "requirements.txt").touch()
    if gone:
        python.unlink()
        python.symlink_to("nowhere")
    done = make(project, "report")
    assert done.returncode == 2
    assert "delete .venv and run make again" in done.stderr.splitlines()[0]
    assert (project / ".venv/bin/pip").exists()


def test_without_a_fitting_python_two_lines_say_what_is_needed(project: Path) -> None:
    shutil.rmtree(project / ".venv")
    done = make(project, "report", f"PYTHON={unfit(project / 'my python')}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("needed: Python 3.10 to 3.13")
    assert done.stderr.splitlines()[1].startswith("to get one: uv python install")
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("active", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_the_python_of_an_active_environment_comes_first(project: Path, active: str) -> None:
    (project / "bin").mkdir()
    for name in ("python3", "python3.13"):
        shutil.copy(project / ".venv/bin/python", project / "bin" / name)
    shutil.rmtree(project / ".venv")
    path = f"{project / 'bin'}:{os.environ['PATH']}"
    assert "making .venv with python3.13\n" in make(project, "report", PATH=path).stdout
    assert "making .venv with python3\n" in make(project, "report", PATH=path, **{active: "x"}).stdout


@pytest.mark.skipif(not (3, 10) <= sys.version_info < (3, 14), reason="needs a Python that fits")
def test_a_fitting_python_makes_the_environment(project: Path) -> None:
    shutil.rmtree(project / ".venv")
    make(project, ".venv/.installed", f"PYTHON={sys.executable}", PIP_NO_INDEX="1")
    assert (project / ".venv/bin/pip").exists()


def test_clean_keeps_the_readme(project: Path) -> None:
    make(project)
    (project / "artifacts/README.md").touch()
    assert make(project, "clean").returncode == 0
    assert [path.name for path in (project / "artifacts").iterdir()] == ["README.md"]
    refused = make(project, "clean", f"ARTIFACTS={project.parent / 'home'}")
    assert refused.returncode == 2 and "by hand" in refused.stderr


def test_help_lists_every_target_and_setting(project: Path) -> None:
    text = make(project, "help").stdout
    targets = re.search(r"\.PHONY: (.*) FORCE", (project / "Makefile").read_text()).group(1)
    for word in [*targets.split(), *NAMES, *["ARTIFACTS", "IMAGE", "K", "LAB", "LOCKED", "PYTHON"]]:
        assert f"  {word} " in text
