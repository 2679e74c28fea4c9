"""The contract: what is reused, what is refused, and what survives an accident."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pytest

from retrieval.artifacts.formats import write
from retrieval.artifacts.steps import STEPS, step_of
from retrieval.artifacts.store import Store, begin, open_store, start
from retrieval.commands.verify import verify
from retrieval.errors import RetrievalError, SkippedError
from retrieval.files import sha256
from retrieval.settings import PROJECT, Settings, kept

FILES = "train_index_file.json"
CATEGORIES = "train_index_category.json"
FEATURES = "mobilenetv2_train.npy"
FUSED = "fused_train.npy"
# Settings that are no files.
PLAIN = ("seed", "split", "epochs", "precision", "encoder_size", "encoder_range")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """For two categories of empty images, and files for weights and an encoder."""
    for category, number in product("ab", range(5)):
        (tmp_path / "photos" / category).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / category / f"{number}.jpg").touch()
    (tmp_path / "my.weights.h5").write_text("weights")
    (tmp_path / "my.tflite").write_text("encoder")
    weights, artifacts = str(tmp_path / "my.weights.h5"), tmp_path / "artifacts"
    return Settings(tmp_path / "photos", 0, "grouped", None, weights, artifacts, str(tmp_path / "my.tflite"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts", {"seed": 0})


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


def test_what_is_forgotten_is_gone_and_the_rest_stays(store: Store) -> None:
    fill(store)
    store.forget("fused*")
    assert set(store.manifest()) == {FILES, FEATURES} and not (store.folder / FUSED).exists()
    before = (store.folder / "manifest.json").stat().st_mtime_ns
    store.forget("fused*")
    assert (store.folder / "manifest.json").stat().st_mtime_ns == before and store.load(FILES)


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
    assert record == {
        "sha256": sha256(store.folder / FEATURES),
        "shape": [3, 4],
        "step": "02_mobilenetv2_features",
        "settings": {},
        "inputs": {FILES: sha256(store.folder / FILES)},
    }


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
    arrays = {"a": np.zeros(2)}
    below = store.make("models/small/model.npz", by=lambda path: path.mkdir(parents=True) or arrays)
    assert below["a"].tolist() == [0, 0] and not (store.folder / "unfinished").exists()


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
    other = Store(store.folder, {"seed": 1})
    with pytest.raises(RetrievalError, match="was made with seed=0, now seed=1: run notebook 01_split"):
        other.load(FILES)
    with pytest.raises(
        RetrievalError,
        match=f"{FUSED} is out of date: .* from {FEATURES}, which is out of date: .* from {FILES}, which was",
    ):
        other.load(FUSED)


def test_another_input_makes_what_rests_on_it_stale(store: Store) -> None:
    fill(store)
    store.make(FILES, by=lambda _: {"0": "c/1.jpg"}, settings={"seed": 0, "new": 1})
    with pytest.raises(RetrievalError, match=f"{FEATURES} was made from another {FILES}: run notebook 02"):
        store.load(FEATURES)
    with pytest.raises(
        RetrievalError,
        match=f"{FUSED} is out of date: it was made from {FEATURES}, which was made from another",
    ):
        store.load(FUSED)


def test_other_images_weights_or_encoder_at_the_same_place_make_all_that_rests_on_them_stale(
    settings: Settings, tmp_path: Path
) -> None:
    store = start(settings)
    store.make("images.json", by=lambda _: {}, settings={"images": store.settings["images"]})
    store.make("weights.json", by=lambda _: {}, settings={"weights": store.settings["weights"]})
    store.make("custom.tflite", by=lambda _: b"", settings={"encoder": store.settings["encoder"]})
    image = next(tmp_path.glob("photos/*/*.jpg"))
    sources = {"images.json": image, "weights.json": settings.weights, "custom.tflite": settings.encoder}
    for need, changed in zip(sources, map(Path, sources.values()), strict=True):
        store.make(FEATURES, by=lambda _: features(), needs=[need])
        open_store(settings).load(FEATURES)
        before = changed.read_text()
        changed.write_text("another")
        with pytest.raises(
            RetrievalError, match=f"{FEATURES} is out of date: .* {need}, which was made .*now"
        ):
            open_store(settings).load(FEATURES)
        changed.write_text(before)
    assert not any(verify(store.folder).values())


def test_where_images_and_weights_lie_does_not_matter(settings: Settings, tmp_path: Path) -> None:
    store = open_store(settings)
    shutil.copytree(settings.data, tmp_path / "moved")
    for copied in tmp_path.glob("moved/*/*.jpg"):
        original = settings.data / copied.relative_to(tmp_path / "moved")
        os.utime(copied, ns=(original.stat().st_atime_ns, original.stat().st_mtime_ns))
    weights = shutil.copy(settings.weights, tmp_path / "other.weights.h5")
    moved = replace(settings, data=tmp_path / "moved", weights=str(weights))
    assert open_store(moved).settings == store.settings
    encoder = shutil.move(settings.encoder, tmp_path / "other.tflite")
    assert open_store(replace(settings, encoder=str(encoder))).settings == store.settings
    gone = open_store(replace(settings, data=tmp_path / "gone", weights=str(tmp_path / "gone.h5")))
    assert gone.settings == {key: store.settings[key] for key in PLAIN}


OTHERS = {
    **{"seed": 1, "split": "plain", "epochs": 2, "weights": "imagenet", "data": "/nowhere"},
    **{"precision": "int8", "encoder_size": 160, "encoder_range": "0..1"},
}


@pytest.mark.parametrize("name, value", OTHERS.items())
def test_a_setting_that_is_not_the_runs_is_one_line(settings: Settings, name: str, value: object) -> None:
    store = start(settings)
    store.save("images.json", {}, settings=store.settings)
    assert open_store(kept(settings.artifacts)).load("images.json") == {}
    given = f"{name.upper()}={value}"
    remedy = f"run `make {given}` first, or leave {name.upper()} out"
    other = replace(settings, **{name: Path(value) if name == "data" else value})
    with pytest.raises(RetrievalError, match=f"^{given} is not what {store.folder} was made with: {remedy}$"):
        open_store(other)
    # A new run may have begun and made nothing yet.
    if name != "data":
        start(other)
        with pytest.raises(RetrievalError, match=r"images\.json was made with .* now.*: run notebook 01"):
            open_store(kept(settings.artifacts)).load("images.json")


@pytest.mark.parametrize(
    "name, value", [("weights", "/nowhere.h5"), ("data", Path("/nowhere")), ("encoder", "/nowhere.keras")]
)
def test_a_run_does_not_begin_without_its_images_and_weights(
    settings: Settings, name: str, value: object
) -> None:
    start(settings)
    with pytest.raises(RetrievalError, match=r"^\S*/nowhere\S* is not a "):
        start(replace(settings, **{name: value}))
    assert kept(settings.artifacts) == settings


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
    manifest[FEATURES]["sha256"] = sha256(store.folder / FEATURES)
    (store.folder / "manifest.json").write_text(json.dumps(manifest))
    problem = "is not a plain array" if problem == "object" else problem
    with pytest.raises(RetrievalError, match=f"{FEATURES} .*{problem}.*run notebook 02"):
        store.load(FEATURES)


def test_a_flipped_byte_of_the_manifest_is_one_line_at_most_and_never_another_artifact(store: Store) -> None:
    fill(store)
    path = store.folder / "manifest.json"
    whole, loaded = path.read_bytes(), 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            verify(store.folder)
            np.testing.assert_array_equal(store.load(FEATURES), features())
            loaded += 1
        except RetrievalError as error:
            assert "\n" not in str(error)
    # Only what nobody relies on can change unnoticed: shapes, steps, other artifacts' records.
    assert loaded < len(whole) / 2


def test_a_damaged_record_costs_its_own_artifact_only(store: Store) -> None:
    fill(store)
    path = store.folder / "manifest.json"
    digest = store.manifest()[FEATURES]["sha256"]
    path.write_text(path.read_text().replace(f'"sha256": "{digest}"', f'"sha256": "{digest[::-1]}"'))
    with pytest.raises(RetrievalError, match=f"{FEATURES} is damaged or was changed by hand: run notebook"):
        store.load(FEATURES)
    store.make(FILES, by=never, settings={"seed": 0})
    store.make(FEATURES, by=lambda _: features(), needs=[FILES])
    store.make(FUSED, by=never, needs=[FEATURES])


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
        from retrieval.errors import SkippedError, RetrievalError

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
    assert not list(store.folder.glob(".unfinished*"))
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


@pytest.mark.parametrize("state, status", [("good", 0), ("damaged", 1), ("empty", 1)])
def test_verify_as_a_command(store: Store, state: str, status: int) -> None:
    if state != "empty":
        fill(store)
    if state == "damaged":
        (store.folder / FEATURES).unlink()
    done = subprocess.run(
        [sys.executable, "-m", "retrieval.commands.verify"],
        cwd=PROJECT / "notebooks",
        env={"ARTIFACTS": str(store.folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    assert len((done.stdout + done.stderr).splitlines()) == (1 if state == "empty" else 4)
    if state != "empty":
        intact = 2 if state == "damaged" else 3
        assert (
            f"ok       {FILES}" in done.stdout and f"{intact} of 3 artifacts are as recorded" in done.stdout
        )


def test_settings_are_watched_as_json(settings: Settings) -> None:
    store = open_store(settings)
    assert store.folder == settings.artifacts
    assert set(store.settings) == {*PLAIN, "weights", "encoder", "images"}
    assert json.loads(json.dumps(store.settings)) == store.settings


def test_a_notebook_begins_by_saying_what_it_works_on(settings: Settings, monkeypatch, capsys) -> None:
    for name in ("data", "weights", "artifacts", "encoder"):
        monkeypatch.setenv(name.upper(), str(getattr(settings, name)))
    with pytest.raises(RetrievalError, match=r"dataset\.json is missing: run notebook 01_split"):
        begin()
    data = {"name": "photos", "images": 10, "categories": 1}
    open_store(settings).save("dataset.json", data)
    with pytest.raises(SkippedError, match="photos has not two category folders"):
        begin()
    capsys.readouterr()
    assert begin(categories=False)[2] == data
    assert "photos: 10 images, 1 categories" in capsys.readouterr().out


def test_a_part_is_its_maps_and_features(store: Store) -> None:
    fill(store)
    store.save(CATEGORIES, {"0": "a", "1": "a", "2": "b"})
    store.save("train_index_group.json", {"0": 7, "1": 8, "2": 7})
    part = store.part("mobilenetv2", "train")
    assert len(part) == 3 and part.files.tolist() == store.files("train")
    taken = part.take(part.categories == "a").with_features(features()[:2] + 1)
    assert taken.groups.tolist() == [7, 8] and taken.categories.tolist() == ["a", "a"]
    np.testing.assert_array_equal(taken.features, features()[:2] + 1)


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
        "label_errors.csv": "more/a_protocol",
        "short_training_1_0.csv": "more/c_fine_tuning",
        "imagenet_mobilenetv2_train.npy": "more/d_stronger_encoder",
        "fused_lda_val.npy": "more/d_stronger_encoder",
        "results/proxy_lda.json": "more/d_stronger_encoder",
        "results/feedback_beyond.json": "more/e_feedback",
        "unseen_0.csv": "unseen",
    }.items(),
)
def test_every_artifact_has_its_notebook(name: str, step: str) -> None:
    assert step_of(name) == step
    assert step in STEPS


def test_a_precision_that_is_missing_stays_a_number(store: Store) -> None:
    history = pd.DataFrame({"epoch": [1, 2], "val_precision": [np.nan, np.nan]})
    store.save("siamese_cnn_history.csv", history)
    pd.testing.assert_frame_equal(store.load("siamese_cnn_history.csv"), history)
