"""The contract: what is reused, what is refused, and what survives an accident."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pytest

from retrieval.artifacts.formats import write
from retrieval.artifacts.manifest import seal, write_records
from retrieval.artifacts.store import STEPS, Store, open_store, step_of
from retrieval.commands.verify import verify
from retrieval.data.dataset import find_images, fingerprint
from retrieval.errors import RetrievalError
from retrieval.files import json_sha256, sha256
from retrieval.settings import PROJECT, read_settings

FILES = "train_index_file.json"
CATEGORIES = "train_index_category.json"
FEATURES = "mobilenetv2_train.npy"
FUSED = "fused_train.npy"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts", {"seed": 0, "data": "photos"})


def fill(store: Store) -> None:
    """A chain of three steps: files, features made from them, fused made from those."""
    files = {"0": "a/1.jpg", "1": "a/2.jpg", "2": "b/1.jpg"}
    store.make(FILES, by=lambda _: files, settings={"seed": store.settings["seed"]})
    store.make(FEATURES, by=lambda _: features(), needs=[FILES])
    store.make(FUSED, by=lambda _: features() / 2, needs=[FEATURES])


def features() -> np.ndarray:
    return np.arange(12, dtype=np.float32).reshape(3, 4)


def never(_: Path) -> None:
    pytest.fail("it was made again")


def test_what_is_made_can_be_loaded(store: Store) -> None:
    fill(store)
    assert store.files("train") == ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    np.testing.assert_array_equal(store.features("mobilenetv2", "train"), features())


def test_the_first_run_returns_what_later_ones_do(store: Store) -> None:
    first = store.make("dataset.json", by=lambda _: {0: (1, 2)})
    assert first == store.make("dataset.json", by=never) == {"0": [1, 2]}


def test_a_table_comes_back(store: Store) -> None:
    table = pd.DataFrame({"file": ["a"], "distance": [0.1 + 0.2]})
    pd.testing.assert_frame_equal(store.make("audit.csv", by=lambda _: table), table)


def test_what_is_saved_rests_on_its_inputs(store: Store) -> None:
    fill(store)
    store.save("results/fused.json", {"accuracy": 0.5}, needs=[FUSED])
    assert store.load("results/fused.json") == {"accuracy": 0.5}
    flip(store.folder / FUSED)
    with pytest.raises(RetrievalError, match=f"{FUSED} is damaged"):
        store.save("results/fused.json", {}, needs=[FUSED])


def test_several_artifacts_are_made_together(store: Store) -> None:
    def by(_: Path) -> tuple:
        return {"0": "a"}, {"0": "a/1.jpg"}

    assert store.make(CATEGORIES, FILES, by=by) == ({"0": "a"}, {"0": "a/1.jpg"})
    assert store.make(CATEGORIES, FILES, by=never) == ({"0": "a"}, {"0": "a/1.jpg"})
    with pytest.raises(ValueError):
        store.make("mobilenetv2_val.npy", "mobilenetv2_test.npy", by=lambda _: (features(),))


def test_the_manifest_records_origin(store: Store) -> None:
    fill(store)
    record = json.loads((store.folder / "manifest.json").read_text())[FEATURES]
    digest = record.pop("record_sha256")
    assert record == {
        "sha256": sha256(store.folder / FEATURES),
        "shape": [3, 4],
        "step": "02_mobilenetv2_features",
        "settings": {},
        "inputs": {FILES: sha256(store.folder / FILES)},
    }
    assert digest == json_sha256([FEATURES, record])


@pytest.mark.parametrize("settings, needs", [({"size": 224}, [FILES]), ({}, [])])
def test_another_recipe_is_made_again(store: Store, settings: dict, needs: list[str]) -> None:
    fill(store)
    made = store.make(FEATURES, by=lambda _: features() + 1, needs=needs, settings=settings)
    np.testing.assert_array_equal(made, features() + 1)


def test_settings_are_compared_as_json(store: Store) -> None:
    store.make(FEATURES, by=lambda _: features(), settings={"sizes": (1, 2)})
    store.make(FEATURES, by=never, settings={"sizes": [1, 2]})


def test_unfinished_work_is_found_again(store: Store) -> None:
    def interrupted(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    def goes_on(path: Path) -> np.ndarray:
        assert path.read_text() == "half"
        return features()

    def other_recipe(path: Path) -> np.ndarray:
        assert not path.exists()
        return features()

    with pytest.raises(KeyboardInterrupt):
        store.make(FEATURES, by=interrupted)
    store.make(FEATURES, by=goes_on)
    assert not (store.folder / "unfinished" / FEATURES).exists()
    with pytest.raises(KeyboardInterrupt):
        store.make(FEATURES, by=interrupted, settings={"size": 1})
    store.make(FEATURES, by=other_recipe, settings={"size": 2})


def test_what_an_interruption_after_the_last_step_left_is_removed(store: Store) -> None:
    unfinished = []
    store.make(FEATURES, by=lambda path: unfinished.append(path) or features())
    unfinished[0].mkdir(parents=True)
    (unfinished[0] / "1.weights.h5").touch()
    store.make(FEATURES, by=never)
    assert not (store.folder / "unfinished").exists()


def test_two_that_make_the_same_make_it_once(store: Store) -> None:
    under_way, made = Event(), []

    def slow(_: Path) -> np.ndarray:
        under_way.set()
        made.append(time.sleep(0.2))
        return features()

    def second(_: int) -> np.ndarray:
        under_way.wait()
        return Store(store.folder, store.settings).make(FEATURES, by=slow)

    with ThreadPoolExecutor() as pool:
        first = pool.submit(store.make, FEATURES, by=slow)
        np.testing.assert_array_equal(pool.submit(second, 2).result(), first.result())
    assert len(made) == 1


def test_processes_that_save_at_once_lose_no_record(store: Store) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom retrieval.artifacts.store import Store\n"
        "for i in range(20):\n    Store(Path(sys.argv[1]), {}).save(f'results/{sys.argv[2]}_{i}.json', i)"
    )
    command = [sys.executable, "-c", script, store.folder]
    processes = [subprocess.Popen([*command, name], cwd=PROJECT / "notebooks") for name in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(store.manifest()) == 60 and store.is_intact()


def test_what_was_made_anew_since_it_was_loaded_is_not_built_on(store: Store) -> None:
    fill(store)
    store.load(FEATURES)
    other = Store(store.folder, store.settings)
    other.make(FEATURES, by=lambda _: features() + 1, needs=[FILES], settings={"new": 1})
    with pytest.raises(RetrievalError, match=f"{FEATURES} was made anew after it was loaded here: run this"):
        store.save("results/fused.json", {}, needs=[FEATURES])
    store.load(FEATURES)
    store.save("results/fused.json", {}, needs=[FEATURES])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize(
    "damage, problem", [(flip, "damaged"), (truncate, "damaged"), (Path.unlink, "missing")]
)
def test_damage_is_named_with_its_remedy_and_repaired(store: Store, damage, problem: str) -> None:
    fill(store)
    assert store.is_intact()
    damage(store.folder / FEATURES)
    assert not store.is_intact()
    with pytest.raises(RetrievalError, match=f"^artifacts/{FEATURES} is {problem}.*run notebook 02_mob.*$"):
        store.load(FEATURES)
    with pytest.raises(RetrievalError, match=FEATURES):
        store.make(FUSED, by=never, needs=[FEATURES])
    store.make(FEATURES, by=lambda _: features(), needs=[FILES])
    store.make(FUSED, by=never, needs=[FEATURES])


def test_nothing_made_yet_is_missing(store: Store) -> None:
    with pytest.raises(RetrievalError, match=f"{FILES} is missing: run notebook 01_split"):
        store.files("train")


def test_a_file_that_the_manifest_does_not_know_is_missing(store: Store) -> None:
    store.folder.mkdir()
    np.save(store.folder / FEATURES, features())
    with pytest.raises(RetrievalError, match="is missing"):
        store.load(FEATURES)


def test_other_settings_make_it_and_what_rests_on_it_stale(store: Store) -> None:
    fill(store)
    other = Store(store.folder, {"seed": 1, "data": "photos"})
    with pytest.raises(RetrievalError, match="was made with seed=0, now seed=1: run notebook 01_split"):
        other.load(FILES)
    with pytest.raises(
        RetrievalError, match=f"{FUSED} rests on {FEATURES}, which rests on {FILES}, which was made"
    ):
        other.load(FUSED)


def test_another_input_makes_what_rests_on_it_stale(store: Store) -> None:
    fill(store)
    store.make(FILES, by=lambda _: {"0": "c/1.jpg"}, settings={"seed": 0, "new": 1})
    with pytest.raises(RetrievalError, match=f"{FEATURES} was made from another {FILES}: run notebook 02"):
        store.load(FEATURES)
    with pytest.raises(RetrievalError, match=f"{FUSED} rests on {FEATURES}, which was made from another"):
        store.load(FUSED)


def test_other_weights_at_the_same_path_make_all_that_rests_on_them_stale(tmp_path: Path) -> None:
    path = tmp_path / "random.weights.h5"
    path.write_text("first")

    def open_again() -> Store:
        return Store(tmp_path / "artifacts", {"weights": str(path)})

    settings = {"weights": str(path), "sha256": sha256(path)}
    open_again().make("weights.json", by=lambda _: {"sha256": sha256(path)}, settings=settings)
    open_again().make(FEATURES, by=lambda _: features(), needs=["weights.json"])
    open_again().load(FEATURES)
    path.write_text("second")
    with pytest.raises(RetrievalError, match=f"{FEATURES} rests on weights.json, which names other weights"):
        open_again().load(FEATURES)


def test_a_table_keeps_names_that_look_like_something_else(store: Store) -> None:
    table = pd.DataFrame({"category": ["1", "NA", "null"], "f1": [0.5, 0.0, 1.0]})
    pd.testing.assert_frame_equal(store.make("results/fused_report.csv", by=lambda _: table), table)
    audit = pd.DataFrame({"file": ["NA/1.jpg"] * 2, "other_file": ["1/1.jpg", ""], "distance": [3.0, np.nan]})
    pd.testing.assert_frame_equal(store.make("audit.csv", by=lambda _: audit), audit)


def test_rows_must_be_as_many_as_images(store: Store) -> None:
    fill(store)
    store.make(FEATURES, by=lambda _: features()[:2], needs=[FILES], settings={"new": 1})
    with pytest.raises(RetrievalError, match="has 2 rows for 3 images"):
        store.features("mobilenetv2", "train")


BROKEN = {
    "NaN": np.full((3, 4), np.nan, np.float32),
    "infinite": np.full((3, 4), np.inf, np.float32),
    "float64": np.zeros((3, 4)),
    r"\[3\]": np.zeros(3, np.float32),
    "C-contiguous": np.asfortranarray(features()),
    "object": np.array([[{}]], dtype=object),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_an_array_that_breaks_the_contract_is_not_written(store: Store, problem: str) -> None:
    with pytest.raises(ValueError, match=f"{FEATURES} .*{problem}"):
        store.make(FEATURES, by=lambda _: BROKEN[problem])
    assert not (store.folder / FEATURES).exists()


@pytest.mark.parametrize("problem", BROKEN)
def test_nor_is_it_read_though_its_hash_fits(store: Store, problem: str) -> None:
    fill(store)
    np.save(store.folder / FEATURES, BROKEN[problem], allow_pickle=True)
    manifest = store.manifest()
    record = manifest[FEATURES] | {"sha256": sha256(store.folder / FEATURES)}
    del record["record_sha256"]
    write_records(store.folder, manifest | {FEATURES: seal(FEATURES, record)})
    problem = "is not a plain array" if problem == "object" else problem
    with pytest.raises(RetrievalError, match=f"{FEATURES} .*{problem}.*run notebook 02"):
        store.load(FEATURES)


def test_every_flipped_byte_of_the_manifest_is_noticed(store: Store) -> None:
    fill(store)
    path = store.folder / "manifest.json"
    whole, names = path.read_bytes(), {FILES, FEATURES, FUSED}
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            assert store.manifest().keys() < names, whole[position - 20 : position + 20]
            assert not store.is_intact() and any(verify(store.folder).values())
        except RetrievalError as error:
            assert "manifest.json is damaged" in str(error)


def test_a_damaged_record_costs_its_own_artifact_only(store: Store) -> None:
    fill(store)
    path = store.folder / "manifest.json"
    path.write_text(path.read_text().replace('"step": "02', '"step": "03'))
    with pytest.raises(
        RetrievalError, match=f"{FEATURES} has a damaged record in manifest.json: run notebook"
    ):
        store.load(FEATURES)
    store.make(FILES, by=never, settings={"seed": 0})
    store.make(FEATURES, by=lambda _: features(), needs=[FILES])
    store.make(FUSED, by=never, needs=[FEATURES])


def test_other_images_at_the_same_place_make_everything_stale(store: Store, tmp_path: Path) -> None:
    for category in ("a", "b"):
        (tmp_path / category).mkdir()
        for number in range(5):
            (tmp_path / category / f"{number}.jpg").touch()

    def images() -> str:
        return fingerprint(tmp_path, find_images(tmp_path))

    Store(store.folder, {}).make("images.json", by=lambda _: {}, settings={"fingerprint": images()})
    store.make(FEATURES, by=lambda _: features(), needs=["images.json"])
    Store(store.folder, {}, tmp_path).load(FEATURES)
    (tmp_path / "a" / "0.jpg").write_text("another")
    with pytest.raises(RetrievalError) as error:
        Store(store.folder, {}, tmp_path).load(FEATURES)
    assert str(error.value) == (
        f"artifacts/{FEATURES} rests on images.json, which was made from other images "
        f"than are in {tmp_path} now: run notebook 01_split or `make`"
    )
    Store(store.folder, {}, tmp_path / "moved away").load(FEATURES)
    assert not any(verify(store.folder).values())


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\xff"])
def test_a_manifest_that_cannot_be_read_stops_at_once(store: Store, content: str) -> None:
    fill(store)
    (store.folder / "manifest.json").write_text(content, "latin-1")
    for action in (
        lambda: store.make(FILES, by=never),
        lambda: store.load(FILES),
        lambda: verify(store.folder),
    ):
        with pytest.raises(RetrievalError, match=r"manifest\.json is damaged: delete it and run `make`"):
            action()


def test_a_real_size_limit_leaves_the_old_artifact(store: Store) -> None:
    """NumPy's error for a full disk has no number and no text of the system's."""
    pytest.importorskip("resource", reason="needs POSIX limits")
    fill(store)
    script = textwrap.dedent(f"""
        import resource, sys
        from pathlib import Path
        import numpy as np
        from retrieval.artifacts.store import Store
        from retrieval.errors import RetrievalError

        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        store = Store(Path(sys.argv[1]), {{}})
        try:
            store.make("{FEATURES}", by=lambda _: np.zeros((99, 99), np.float32))
        except RetrievalError as error:
            print(error)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, store.folder],
        cwd=PROJECT / "notebooks",
        capture_output=True,
        text=True,
    )
    assert (
        FEATURES in done.stdout and "could not be written" in done.stdout and "\n" not in done.stdout.strip()
    )
    assert not list(store.folder.glob(".*-*"))
    np.testing.assert_array_equal(store.load(FEATURES), features())


def test_an_interrupted_save_of_several_is_made_again(store: Store, monkeypatch) -> None:
    store.make(CATEGORIES, FILES, by=lambda _: ({"0": "a"}, {"0": "a/1.jpg"}))

    def interrupt(path: Path, value) -> None:
        if path.name == FILES:
            raise KeyboardInterrupt
        write(path, value)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("retrieval.artifacts.store.write", interrupt)
        store.make(CATEGORIES, FILES, by=lambda _: ({"0": "b"}, {"0": "b/1.jpg"}), settings={"new": 1})
    with pytest.raises(RetrievalError, match="is damaged"):
        store.load(CATEGORIES)
    again = store.make(CATEGORIES, FILES, by=lambda _: ({"0": "b"}, {"0": "b/1.jpg"}), settings={"new": 1})
    assert again == ({"0": "b"}, {"0": "b/1.jpg"})


def test_verify_names_every_problem(store: Store) -> None:
    fill(store)
    assert verify(store.folder) == {FILES: "", FEATURES: "", FUSED: ""}
    flip(store.folder / FEATURES)
    problems = verify(store.folder)
    assert "is damaged" in problems[FEATURES] and not problems[FILES]


@pytest.mark.parametrize("state, status", [("good", 0), ("damaged", 1), ("empty", 1), ("unknown", 0)])
def test_verify_as_a_command(store: Store, state: str, status: int) -> None:
    if state != "empty":
        fill(store)
    if state == "damaged":
        (store.folder / FEATURES).unlink()
    if state == "unknown":
        for name in ("mine.npy", "settings.txt", "README.md", "figures/a.png", "unfinished/a/b"):
            (store.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (store.folder / name).touch()
    done = subprocess.run(
        [sys.executable, "-m", "retrieval.commands.verify"],
        cwd=PROJECT / "notebooks",
        env={"ARTIFACTS": str(store.folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    assert len((done.stdout + done.stderr).splitlines()) == {"empty": 1, "unknown": 5}.get(state, 4)
    assert ("unknown  artifacts/mine.npy is not in the manifest" in done.stdout) == (state == "unknown")
    if state != "empty":
        intact = 2 if state == "damaged" else 3
        assert (
            f"ok       {FILES}" in done.stdout and f"{intact} of 3 artifacts are as recorded" in done.stdout
        )


def test_every_setting_but_the_folder_is_watched(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ARTIFACTS", str(tmp_path))
    store = open_store(read_settings())
    assert store.folder == tmp_path
    assert set(store.settings) == {"data", "seed", "split", "epochs", "weights"}
    assert json.loads(json.dumps(store.settings)) == store.settings


@pytest.mark.parametrize(
    "name, step",
    {
        "train_index_category.json": "01_split",
        "audit.csv": "01_split",
        "mobilenetv2_test.npy": "02_mobilenetv2_features",
        "siamese_cnn.keras": "03_siamese_encoders",
        "siamese_mobilenetv2_val.npy": "03_siamese_encoders",
        "results/mobilenetv2.json": "04_kdtree_retrieval",
        "results/siamese_cnn_report.csv": "04_kdtree_retrieval",
        "fused_train.npy": "05_feature_fusion",
        "results/fused.json": "05_feature_fusion",
        "results/fused_weighted.json": "05_feature_fusion",
        "results/feedback.json": "06_rocchio_feedback",
    }.items(),
)
def test_every_artifact_has_its_notebook(name: str, step: str) -> None:
    assert step_of(name) == step
    assert step in STEPS
