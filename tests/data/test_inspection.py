"""One reading of every file."""

from __future__ import annotations

import json

import numpy as np
from pictures import fails
from PIL import Image

from retrieval.data.dataset import find_images
from retrieval.data.images import encoded
from retrieval.data.inspection import from_json, inspect, to_json


def test_inspection_describes_every_file_and_lists_the_unreadable(root):
    Image.new("L", (30, 20), 99).save(root / "owl" / "0.jpg")
    (root / "fox" / "0.jpg").write_text("nonsense")
    files = find_images(root)
    inspection = inspect(root, files)
    assert inspection.files == [file for file in files if file != "fox/0.jpg"]
    row = inspection.files.index("owl/0.jpg")
    assert (inspection.width[row], inspection.height[row], inspection.mode[row]) == (30, 20, "L")
    assert inspection.dhash.shape == (11, 256) and inspection.dhash.dtype == bool
    assert "fox/0.jpg" in inspection.unreadable["fox/0.jpg"]
    png = encoded(Image.new("L", (9, 9)), "PNG")
    (root / "owl" / "1.jpg").write_bytes(png[:33] + b"\0\0\0\1tEXta\0\0\0\0" + png[33:])  # a wrong checksum
    assert inspect(root, files).mode[files.index("owl/1.jpg") - 1] == "L"
    (root / "fox" / "1.jpg").write_text("nonsense")
    fails(lambda: inspect(root, files), "fox has 4 readable", "fox/0.jpg")


def test_an_inspection_survives_json(root):
    (root / "fox" / "0.jpg").write_text("nonsense")
    inspection = inspect(root, find_images(root))
    back = from_json(json.loads(json.dumps(to_json(inspection))))
    for name, value in vars(inspection).items():
        np.testing.assert_array_equal(getattr(back, name), value)
