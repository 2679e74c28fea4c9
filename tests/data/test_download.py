"""The download of the real set, from a Kaggle that is played."""

from __future__ import annotations

import sys
from types import SimpleNamespace

from pictures import fails

from retrieval.data import download
from retrieval.data.dataset import describe, find_images
from retrieval.data.inspection import inspect


def test_download_copies_the_category_folders_and_checks_them(root, tmp_path, monkeypatch):
    def no_network(slug):
        raise ConnectionError("Max retries\nexceeded")

    kagglehub = SimpleNamespace(dataset_download=lambda slug: str(root.parent))
    monkeypatch.setitem(sys.modules, "kagglehub", kagglehub)
    monkeypatch.setattr(download, "REAL_CATEGORIES", 2)
    monkeypatch.setattr(download, "REAL_IMAGES", 12)
    monkeypatch.setattr(
        "retrieval.data.dataset.REAL_SHA256", describe(root, inspect(root, find_images(root)).digests).sha256
    )
    target = tmp_path / "data" / "mammals"
    download.download(target)
    assert find_images(target) == find_images(root) and list(target.parent.iterdir()) == [target]
    kagglehub.dataset_download = no_network
    download.download(target)
    content = (target / "fox/0.jpg").read_bytes()
    (target / "fox/0.jpg").write_bytes(content + b"more")
    fails(lambda: download.download(target), "does not hold the files", "make DATA=")
    (target / "fox/0.jpg").unlink()
    fails(lambda: download.download(target), "11 images of 2 categories")
    fails(lambda: download.download(tmp_path / "new"), "ConnectionError", "network", "make DATA=")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    fails(lambda: download.download(tmp_path / "new"), "pip install kagglehub")
