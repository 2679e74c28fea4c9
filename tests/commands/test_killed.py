"""The pipeline killed at forty moments ends with what an undisturbed one gives."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest
import tiny

from retrieval.commands.verify import verify

pytestmark = pytest.mark.slow

EPOCHS = 4
# Shares of the processor time that a notebook takes undisturbed, which lie in the same places on a busy
# machine; or files that appear only while something is under way.
MOMENTS = {
    "01_split": [0.2, 0.35, 0.5, 0.6, ".*-*_index_file.json", 0.7, "manifest.json", 0.8, 0.9],
    "02_mobilenetv2_features": [
        *(0.2, "unfinished/*", 0.4, ".*-mobilenetv2_all.npy", ".*-*_val.npy", 0.5, 0.6),
    ],
    "03_siamese_encoders": [
        *(0.1, "unfinished/siamese_cnn.keras/*/*/history.json", "unfinished/siamese_cnn.keras/*/*/2.*"),
        *(".*-siamese_cnn.keras", "unfinished/siamese_mobilenetv2.keras/*/*/history.json"),
        *(".*-siamese_mobilenetv2.keras", "unfinished/*_val.npy", 0.2),
    ],
    "04_kdtree_retrieval": [0.3, 0.6, "figures/.*", "results/.*"],
    "05_feature_fusion": [0.2, 0.4, ".*-*_train.npy", 0.6, "results/.*", 0.8],
    "06_rocchio_feedback": [0.2, 0.4, "figures/.*", 0.6, 0.8],
    "more/d_stronger_encoder": ["unfinished/proxy_mobilenetv2.keras/*/*/history.json"],
}


class Project:
    """Artifacts of the notebooks, run one at a time as make does, and what they print."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.artifacts, self.log = folder, folder / name, folder / f"{name}.log"

    def start(self, step: str) -> subprocess.Popen:
        with self.log.open("a") as log:
            settings = {"ARTIFACTS": str(self.artifacts), "EPOCHS": str(EPOCHS)}
            return tiny.start(step, folder=self.folder, output=log, **settings)

    def finish(self, step: str) -> float:
        """Runs a notebook to its end; returns the processor time that it took, in seconds."""
        process, spent = self.start(step), 0.0
        while process.poll() is None:
            spent = max(spent, processor_time(process.pid))
            time.sleep(0.02)
        assert process.returncode == 0, self.log.read_text()[-3000:]
        return spent

    def kill(self, step: str, moment: float | str, *, only_parent: bool) -> bool:
        """Runs a notebook and kills it at a moment, in seconds or a file's name; whether it lived so long."""
        process, started = self.start(step), time.time()
        while process.poll() is None:
            if isinstance(moment, str):
                reached = any(is_new(path, started) for path in self.artifacts.glob(moment))
            else:
                reached = processor_time(process.pid) >= moment
            if reached:
                for member in family(process.pid)[: 1 if only_parent else None]:
                    with suppress(psutil.NoSuchProcess):
                        member.kill()
                return process.wait() == -signal.SIGKILL
            time.sleep(0.005)
        assert process.returncode == 0, self.log.read_text()[-3000:]
        return False


def family(process: int) -> list[psutil.Process]:
    """A process and its kernel; none once it has ended."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process)
        return [parent, *parent.children(recursive=True)]
    return []


def processor_time(process: int) -> float:
    spent = 0.0
    for member in family(process):
        with suppress(psutil.NoSuchProcess):
            spent += sum(member.cpu_times()[:4])
    return spent


def is_new(path: Path, started: float) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime > started
    return False


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    """One left alone, one killed and started again 40 times."""
    folder = tmp_path_factory.mktemp("project")
    tiny.prepare(folder)
    quiet, killed, kills = Project(folder, "quiet"), Project(folder, "killed"), 0
    for step, moments in MOMENTS.items():
        whole = quiet.finish(step)
        for moment in moments:
            due = moment if isinstance(moment, str) else moment * whole
            while not killed.kill(step, due, only_parent=kills % 4 == 3):
                # There was less left to do: again, with all of it there to be reused, and sooner.
                (killed.artifacts / "notebooks" / f"{step}.ipynb").unlink()
                due = (due if isinstance(due, float) else whole / 2) / 2
            kills += 1
        killed.finish(step)
    print(f"{kills} kills")
    assert kills == 40
    return quiet, killed


def manifest(project: Project) -> dict:
    return json.loads((project.artifacts / "manifest.json").read_text("utf-8"))


def test_all_is_as_if_nothing_had_happened_but_for_what_training_decides(projects) -> None:
    quiet, killed = map(manifest, projects)
    assert quiet.keys() == killed.keys()
    trained: set[str] = set()
    while (
        more := {
            name
            for name, record in quiet.items()
            if name.startswith(("siamese", "proxy")) or trained & record["inputs"].keys()
        }
        - trained
    ):
        trained |= more
    assert len(quiet.keys() - trained) >= 14
    for name, record in quiet.items():
        if name in trained:
            for key in ("shape", "step", "settings"):
                assert killed[name][key] == record[key]
            assert killed[name]["inputs"].keys() == record["inputs"].keys()
        else:
            assert killed[name] == record
    assert not any(verify(projects[1].artifacts).values())


@pytest.mark.parametrize(
    ("encoder", "epochs"),
    [("siamese_cnn", EPOCHS), ("siamese_mobilenetv2", EPOCHS), ("proxy_mobilenetv2", 2 * EPOCHS)],
)
def test_a_killed_training_went_on_and_missed_no_epoch(projects, encoder: str, epochs: int) -> None:
    _, killed = projects
    history = pd.read_csv(killed.artifacts / f"{encoder}_history.csv")
    assert history.epoch.tolist() == list(range(1, epochs + 1))
    assert "resumed after epoch 1" in killed.log.read_text()


def test_nothing_is_left_behind(projects) -> None:
    quiet, killed = (
        {path.relative_to(project.artifacts).as_posix() for path in project.artifacts.rglob("*")}
        for project in projects
    )
    assert killed == quiet
    assert "unfinished" not in killed
    assert {Path(name).name for name in killed if Path(name).name.startswith(".")} == {".locks"}
