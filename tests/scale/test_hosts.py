"""Extraction on two hosts with object storage between them, one of which is cut off in the middle.

The hosts are network namespaces of this machine: they share its disk, and reach each other by a switch only.
"""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders import conversion, siamese
from retrieval.features import extraction
from retrieval.settings import PROJECT

for library in ("ray", "pyarrow", "moto", "flask", "flask_cors"):
    if importlib.util.find_spec(library) is None:
        pytest.skip("needs requirements-all.txt", allow_module_level=True)

from retrieval.scale import shards  # noqa: E402

pytestmark = pytest.mark.slow

SWITCH, STORE, HEAD, WORKER = (f"{os.getpid()}-{name}" for name in ("switch", "store", "head", "worker"))
ADDRESSES = {STORE: "10.231.77.10", HEAD: "10.231.77.11", WORKER: "10.231.77.12"}
RAY = Path(sys.executable).with_name("ray")
ENVIRONMENT = os.environ | {
    **{"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"},
    **{"AWS_ENDPOINT_URL": f"http://{ADDRESSES[STORE]}:5000", "PYTHONPATH": str(PROJECT / "notebooks")},
    # A host that is silent for three seconds is given up.
    **{f"RAY_health_check_{name}_ms": "1000" for name in ("initial_delay", "period", "timeout")},
    **{
        "RAY_health_check_failure_threshold": "3",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    },
}
# Runs on the head, which waits until the other host is at work. That one is cut off before it has finished.
DRIVER = """
import sys, time, urllib.request
from functools import partial
from pathlib import Path
import pyarrow.fs
from retrieval.features import extraction
from retrieval.scale import ray_extraction, shards

photographs, model, here, store, address, other = sys.argv[1:]
urllib.request.urlopen(urllib.request.Request(f"{store}/bucket", method="PUT"))
shards.ROWS = 5
shards.pack(Path(photographs), sorted(path.name for path in Path(photographs).iterdir()), "s3://bucket/packed")

encoder = Path(model).read_bytes()

def load():
    import ray
    describe = extraction.to_features(encoder, size=32)
    at, joined = Path(here) / ray.util.get_node_ip_address(), ray.is_initialized()

    def slowly(image):
        at.touch()
        while joined and not (Path(here) / other).exists():
            time.sleep(0.1)
        time.sleep(0.2)
        return describe(image)

    return slowly

ray_extraction.extract("s3://bucket/packed", "s3://bucket/features", load, address=address)
Path(here, "features").mkdir()
pyarrow.fs.copy_files("s3://bucket/features", (Path(here) / "features").as_uri())
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def start(tmp_path):
    """Starts a command on a host, and gives it with its log; all of them end with the test."""
    running = []

    def start(host: str, *command: object) -> tuple[subprocess.Popen, Path]:
        log = tmp_path / f"{len(running)}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", host, *map(str, command)],
                env=ENVIRONMENT,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        running.append(process)
        return process, log

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def hosts():
    """Three hosts with addresses of their own, on one switch."""
    try:
        for name in (SWITCH, *ADDRESSES):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", SWITCH, "link", "add", "br0", "type", "bridge")
        ip("-n", SWITCH, "link", "set", "br0", "up")
        for name, address in ADDRESSES.items():
            port = name.split("-")[1]
            ip("-n", SWITCH, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", SWITCH, "link", "set", port, "master", "br0", "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        yield
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces can be made here: {error}")
    finally:
        for name in (SWITCH, *ADDRESSES):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def wait_for_processors(count, start):
    """Until the cluster has so many."""
    deadline = time.monotonic() + 120
    while True:
        process, log = start(HEAD, RAY, "status", f"--address={ADDRESSES[HEAD]}:6379")
        process.wait(timeout=60)
        if f"/{count}.0 CPU" in log.read_text():
            return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)


def test_a_host_that_is_cut_off_loses_and_doubles_no_row(hosts, start, tmp_path):
    photographs, model = tmp_path / "photographs", tmp_path / "model.tflite"
    photographs.mkdir()
    model.write_bytes(conversion.convert(siamese.siamese_cnn(seed=0)))
    rng = np.random.default_rng(0)
    for row in range(60):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(photographs / f"{row:03}.png")
    head, worker = ADDRESSES[HEAD], ADDRESSES[WORKER]
    start(STORE, sys.executable, "-m", "moto.server", "-H", ADDRESSES[STORE], "-p", 5000)
    ray = [RAY, "start", "--num-cpus=1", "--object-store-memory=100000000", "--block"]
    start(HEAD, *ray, "--head", "--port=6379", f"--node-ip-address={head}", "--include-dashboard=false")
    wait_for_processors(1, start)
    start(WORKER, *ray, f"--address={head}:6379", f"--node-ip-address={worker}")
    wait_for_processors(2, start)
    arguments = (photographs, model, tmp_path, ENVIRONMENT["AWS_ENDPOINT_URL"], f"{head}:6379", worker)
    driver, log = start(HEAD, sys.executable, "-c", DRIVER, *arguments)
    deadline = time.monotonic() + 120
    while not ((tmp_path / head).exists() and (tmp_path / worker).exists()):
        assert driver.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    ip("-n", SWITCH, "link", "set", "worker", "down")
    assert driver.wait(timeout=240) == 0, log.read_text()
    files = sorted(path.name for path in photographs.iterdir())
    table = shards.scan_features(tmp_path / "features").to_table()
    assert table["row"].to_pylist() == list(range(60)) and table["file"].to_pylist() == files
    describe = extraction.to_features(model.read_bytes(), size=32)
    expected = [describe(photographs / file) for file in files]
    np.testing.assert_array_equal(np.array(table["features"].to_pylist(), np.float32), expected)
