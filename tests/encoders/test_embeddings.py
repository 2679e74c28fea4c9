"""What is kept of an encoder: its rows in the order of the maps, and nothing computed twice."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from pictures import scene

from retrieval.artifacts.store import Store
from retrieval.data.parts import PARTS
from retrieval.encoders import conversion, embeddings, siamese
from retrieval.errors import RetrievalError
from retrieval.features.extraction import to_embedding
from retrieval.search import open_set
from retrieval.settings import PRECISIONS, read_settings

SIZES = [16, 32]


def a_store(folder: Path) -> Store:
    """Three images in every part, and an encoder that gives their mean colour."""
    store = Store(folder / "artifacts", {})
    store.save("images.json", {})
    for start, part in enumerate(PARTS):
        files = {str(row): f"{part}/{row}.png" for row in range(3)}
        store.save(f"{part}_index_file.json", files)
        store.save(f"{part}_index_category.json", dict.fromkeys(files, "a"))
        store.save(f"{part}_index_group.json", dict.fromkeys(files, start))
        (folder / part).mkdir()
        for row, file in files.items():
            scene(10 * start + int(row)).save(folder / file)
    layers = [keras.layers.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()]
    store.save("colour.tflite", conversion.convert(keras.Sequential(layers)))
    return store


def test_parts_and_open_set_distances_are_kept_and_not_made_twice(tmp_path: Path, monkeypatch) -> None:
    store = a_store(tmp_path)
    options = {"model": "colour.tflite", "sizes": SIZES, "mirrored": True}
    parts = embeddings.embed_parts(store, tmp_path, "colour", **options)
    describe = to_embedding(store.load("colour.tflite"), sizes=SIZES, mirrored=True)
    for part, each in parts.items():
        rows = [describe(tmp_path / part / f"{row}.png") for row in range(3)]
        np.testing.assert_array_equal(each.features, rows)
    distances = open_set.calibrate(parts["train"].features, parts["val"].features)
    np.testing.assert_array_equal(store.load("colour_open_set.npy")[:, 0], distances)
    monkeypatch.setattr(embeddings, "extract", lambda *_, **__: pytest.fail("extracted again"))
    monkeypatch.setattr(open_set, "calibrate", lambda *_: pytest.fail("calibrated again"))
    again = embeddings.embed_parts(store, tmp_path, "colour", **options)
    np.testing.assert_array_equal(again["test"].features, parts["test"].features)
    np.testing.assert_array_equal(embeddings.keep_open_set(store, "colour"), distances)


def test_a_converted_encoder_is_of_one_precision_and_stale_in_the_other(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    encoder = siamese.siamese_cnn(seed=0)
    made, model = {}, {}
    for precision in PRECISIONS:
        settings = replace(read_settings(), data=tmp_path, precision=precision)
        made[precision] = Store(store.folder, {"precision": precision})
        keep = partial(embeddings.keep_converted, made[precision], settings, "cnn", encoder, size=32)
        model[precision] = keep(needs=["images.json"])
    assert len(model["int8"]) < 0.5 * len(model["float32"])
    assert set(made["int8"].check("cnn.tflite")["inputs"]) == {"images.json", "train_index_file.json"}
    with pytest.raises(RetrievalError, match=r"was made with precision=int8, now precision=float32: run"):
        made["float32"].load("cnn.tflite")
