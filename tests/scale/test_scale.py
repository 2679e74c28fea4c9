"""Shards on Ray and neighbours from LanceDB against the same steps on one machine."""

import importlib.util
import os
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders import conversion, mobilenetv2, siamese, weights
from retrieval.errors import RetrievalError
from retrieval.features import extraction
from retrieval.search import neighbours
from retrieval.settings import PROJECT

for library in ("ray", "lancedb", "pyarrow"):
    pytest.importorskip(library, reason="needs requirements-scale.txt")

import pyarrow as pa  # noqa: E402

from retrieval.scale import lancedb_index, ray_extraction, shards  # noqa: E402

SHARED = PROJECT.parent / "shared"
REAL, WEIGHTS = SHARED / "mammals", SHARED / "weights" / "mobilenet_v2_imagenet_notop.weights.h5"
SIZE = 32
BROKEN = "017.png"
# Starting Ray and loading an encoder in its workers take longer than all the work.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def million():
    """The script that measures a million rows."""
    spec = importlib.util.spec_from_file_location("measure_million", PROJECT / "docs" / "measure_million.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """50 noise images and a broken one."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(51):
        Image.fromarray(rng.integers(0, 256, (40 + i, 50, 3), np.uint8)).save(folder / f"{i:03}.png")
    (folder / BROKEN).write_text("not an image")
    return folder


@pytest.fixture(scope="module")
def files(folder):
    return sorted(path.name for path in folder.iterdir())[::-1]


@pytest.fixture(scope="module")
def load():
    return partial(extraction.to_features, conversion.convert(siamese.siamese_cnn(seed=0)), size=SIZE)


@pytest.fixture(scope="module")
def expected(folder, files, load, tmp_path_factory):
    readable = [file for file in files if file != BROKEN]
    return extraction.extract(load(), folder, readable, unfinished=tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def packed(folder, files, tmp_path_factory):
    place = tmp_path_factory.mktemp("scale") / "packed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "ROWS", 10)
        shards.pack(folder, files, place)
    return place


@pytest.fixture(scope="module")
def cluster():
    with ray_extraction._cluster(None):
        yield


@pytest.fixture(scope="module")
def extracted(cluster, packed, load):
    ray_extraction.extract(packed, packed.parent / "features", load)
    return packed.parent / "features"


def check(place, files, expected):
    """No row lost, none twice, each the very bits of one machine."""
    table = shards.scan_features(place).to_table()
    assert table["file"].to_pylist() == [file for file in files if file != BROKEN]
    assert table["row"].to_pylist() == [row for row, file in enumerate(files) if file != BROKEN]
    assert table.schema.field("features").type == pa.list_(pa.float32(), expected.shape[1])
    np.testing.assert_array_equal(np.array(table["features"].to_pylist(), np.float32), expected)


def test_packing_keeps_every_byte_and_goes_on_where_it_stopped(folder, files, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROWS", 10)
    with pytest.raises(RetrievalError, match=r"nowhere\.png cannot be read \(No such file"):
        shards.pack(folder, [*files[:15], "nowhere.png"], tmp_path)
    assert list(shards.finished(tmp_path)) == ["00000000.parquet"]
    before = (tmp_path / "00000000.parquet").stat().st_mtime_ns
    shards.pack(folder, files, tmp_path)
    assert (tmp_path / "00000000.parquet").stat().st_mtime_ns == before
    batches = [batch for shard in shards.finished(tmp_path) for batch in shards.read_shard(tmp_path, shard)]
    table = pa.Table.from_batches(batches)
    assert table["row"].to_pylist() == list(range(51)) and table["file"].to_pylist() == files
    assert table["image"].to_pylist() == [(folder / file).read_bytes() for file in files]


def test_shards_hold_the_bits_of_one_machine(extracted, files, expected):
    check(extracted, files, expected)
    assert list(shards.faults(extracted)) == [BROKEN]
    assert "not an image" in shards.faults(extracted)[BROKEN]


def test_a_killed_worker_loses_and_doubles_no_row(cluster, packed, load, files, expected, tmp_path):
    driver, died = os.getpid(), tmp_path / "died"

    def load_mortal():
        describe, described = load(), []

        def mortal(image):
            described.append(image)
            if os.getpid() != driver and len(described) == 15 and not died.exists():
                died.write_text(str(os.getpid()))
                os.kill(os.getpid(), 9)
            return describe(image)

        return mortal

    ray_extraction.extract(packed, tmp_path / "features", load_mortal)
    assert died.exists()
    check(tmp_path / "features", files, expected)


def test_only_what_is_missing_or_older_than_its_images_is_extracted(
    extracted, packed, load, files, expected, monkeypatch
):
    names = list(shards.finished(packed))
    (extracted / names[1]).unlink()
    os.utime(packed / names[3], (time.time() + 1, time.time() + 1))
    before = {name: info.mtime_ns for name, info in shards.finished(extracted).items()}
    ray_extraction.extract(packed, extracted, load)
    after = {name: info.mtime_ns for name, info in shards.finished(extracted).items()}
    assert [name for name in names if after[name] != before.get(name)] == [names[1], names[3]]
    check(extracted, files, expected)
    os.utime(packed / names[3], (0, 0))
    monkeypatch.setattr(ray_extraction, "_cluster", None)
    ray_extraction.extract(packed, extracted, load)  # all is there: Ray does not even start


def test_a_cluster_is_used_by_its_address(cluster, packed, load, files, expected, tmp_path):
    """By a driver elsewhere, whose workers have the package from it alone."""
    import ray

    address = ray.get_runtime_context().gcs_address
    (tmp_path / "model.tflite").write_bytes(load.args[0])
    code = (
        "from functools import partial; from pathlib import Path\n"
        "from retrieval.features import extraction\n"
        "from retrieval.scale import ray_extraction\n"
        f"load = partial(extraction.to_features, Path('model.tflite').read_bytes(), size={SIZE})\n"
        f"ray_extraction.extract({str(packed)!r}, 'features', load, address={address!r})\n"
        "import sys; assert not {'tensorflow', 'lancedb'} & set(sys.modules)"
    )
    path = {"PYTHONPATH": str(PROJECT / "notebooks")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert all("shard/s" in line or "s/shard" in line for line in done.stderr.split("\r") if line.strip())
    check(tmp_path / "features", files, expected)


def test_what_cannot_be_extracted_is_named(extracted, packed, load, tmp_path):
    with pytest.raises(RetrievalError, match="holds no shards"):
        ray_extraction.extract(tmp_path, tmp_path / "features", load)
    noise = [*np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3), np.uint8)]
    in_int8 = conversion.convert(siamese.siamese_cnn(seed=0), calibration=noise)
    for model in (conversion.convert(siamese.siamese_cnn(seed=1)), in_int8):
        with pytest.raises(RetrievalError, match="features of another encoder"):
            ray_extraction.extract(packed, extracted, partial(extraction.to_features, model, size=SIZE))
    (tmp_path / "00000000.parquet").write_text("not a shard")
    with pytest.raises(RetrievalError, match=r"00000000\.parquet cannot be read .*: delete it"):
        ray_extraction.extract(tmp_path, tmp_path / "features", load)
    with pytest.raises(RetrievalError, match="holds no index"):
        lancedb_index.open_index(tmp_path)


def crowds(n, *, seed):
    """Rows around 30 centres, float32 `[n, 64]`."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(30, 64))
    return (centres[rng.integers(30, size=n)] + 0.3 * rng.normal(size=(n, 64))).astype(np.float32)


def test_an_index_is_searched_added_to_deleted_from_and_compacted(million, tmp_path):
    index, later, queries = crowds(2000, seed=1), crowds(1000, seed=2), crowds(40, seed=3)
    blocks = [index[:1000], index[1000:]]
    least, nearest = million.save(tmp_path / "features", blocks, queries)
    np.testing.assert_array_equal(nearest, neighbours.nearest(index, queries, 10, method="exact")[1])
    table = lancedb_index.create_index(tmp_path / "features", tmp_path / "index")
    distances, rows = lancedb_index.nearest(table, queries, 10)
    assert (distances.dtype, rows.dtype) == (np.float64, np.int64)
    assert neighbours.recall(distances, least) > 0.95
    exact = np.linalg.norm(index[rows] - queries[:, np.newaxis], axis=2)
    np.testing.assert_allclose(distances, exact, rtol=1e-4)
    assert (np.diff(distances) >= 0).all()

    table = lancedb_index.open_index(tmp_path / "index")
    lancedb_index.delete(table, ["it's not there", *(f"{row}.jpg" for row in nearest[0])])
    assert (
        table.count_rows() == 1990
        and not np.isin(lancedb_index.nearest(table, queries, 10)[1], nearest[0]).any()
    )
    million.save(tmp_path / "later", [later], queries, first=2)
    for _ in range(2):  # again, as after an interruption
        lancedb_index.add(table, tmp_path / "later")
    assert table.count_rows() == 2990
    np.testing.assert_array_equal(
        lancedb_index.nearest(table, later[:20], 1)[1].ravel(), 2000 + np.arange(20)
    )
    before = lancedb_index.nearest(table, queries, 10)[0]
    lancedb_index.compact(table)
    assert table.index_stats("features_idx").num_unindexed_rows == 0 and table.count_rows() == 2990
    assert neighbours.recall(lancedb_index.nearest(table, queries, 10)[0], before) > 0.95
    with pytest.raises(ValueError, match="raise nprobes"):
        lancedb_index.nearest(table, queries, 5000)


@pytest.mark.skipif(not WEIGHTS.is_file() or not REAL.is_dir(), reason=f"the real set is not in {SHARED}")
def test_recall_on_real_features_is_at_least_95_percent(million, tmp_path):
    model = conversion.convert(mobilenetv2.mobilenetv2(weights.Weights("", WEIGHTS, "")))
    files = [str(path.relative_to(REAL)) for path in sorted(REAL.rglob("*.jpg"))[::11]]
    vectors = extraction.extract(extraction.to_features(model), REAL, files, unfinished=tmp_path / "part")
    index, queries = np.delete(vectors, slice(None, None, 6), axis=0), vectors[::6]
    exact, _ = million.save(tmp_path / "features", np.split(index, [1000]), queries)
    table = lancedb_index.create_index(tmp_path / "features", tmp_path / "index")
    tuned = neighbours.recall(lancedb_index.nearest(table, queries, 10)[0], exact)
    as_it_comes = lancedb_index.nearest(table, queries, 10, nprobes=20, refine_factor=1)[0]
    assert tuned >= 0.95 > neighbours.recall(as_it_comes, exact)


def test_synthetic_rows_are_spread_like_the_real_ones(million):
    rng = np.random.default_rng(0)
    categories = np.repeat(["a", "b"], [100, 300])
    real = np.abs(rng.normal(size=(400, 8)) * [1, 2, 3, 4, 1, 2, 3, 4] + 40 * (categories == "b")[:, None])
    real = real.astype(np.float32)
    drawn = np.concatenate(list(million.synthesise(real, categories, 20_000, seed=0)))
    assert drawn.dtype == np.float32 and drawn.shape == (20_000, 8) and drawn.min() >= 0
    of_b = drawn[:, 0] > 20
    assert abs(of_b.mean() - 0.75) < 0.02
    np.testing.assert_allclose(drawn[of_b].mean(axis=0), real[100:].mean(axis=0), atol=0.2)
    np.testing.assert_allclose(np.cov(drawn[of_b].T), np.cov(real[100:].T), atol=0.6)
