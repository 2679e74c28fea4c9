"""Finding the images of a folder, and saying which set they are."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from pictures import fails, scene

from retrieval.data.dataset import (
    REAL_CATEGORIES,
    REAL_IMAGES,
    REAL_SHA256,
    Source,
    category_of,
    describe,
    find_images,
    fingerprint,
    left_out,
    need_categories,
    remarks,
)
from retrieval.data.inspection import inspect
from retrieval.data.listing import images_in
from retrieval.evaluation.results import load_reported
from retrieval.files import sha256
from retrieval.settings import PROJECT

REAL = PROJECT.parent / "shared" / "mammals"
PARTED = {"train/oak": 9, "train/elm": 9, "valid/oak": 5, "valid/elm": 5, "test/oak": 5, "test/elm": 5}


def fill(root: Path, folders: dict[str, int], others: Iterable[str] = ()) -> Path:
    """A folder with so many images, which are never opened, in each of its folders, and with other files."""
    images = [f"{folder}/{number}.jpg" for folder, count in folders.items() for number in range(count)]
    for file in (*images, *others):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def test_finds_images_of_any_suffix_depth_and_alphabet(root):
    names = ("Füchsin.JPEG", "狐.png", "deep/er/3.WebP", "a b.tiff", "4.jfif", "5.JPE")
    extra = [f"fox/{name}" for name in names]
    fill(root, {}, extra)
    fill(root, {}, ("fox/.hidden.jpg", ".cache/x.jpg", "fox/.thumbs/x.jpg", "fox/notes.txt", "stray.jpg"))
    (root / "empty").mkdir()
    plain = [f"{category}/{number}.jpg" for category in ("fox", "owl") for number in range(6)]
    assert find_images(root) == sorted(plain + extra)


@pytest.mark.parametrize(
    ("folders", "words", "named"),
    [
        (PARTED, "already split into test, train, valid", "train"),
        ({"Training/oak": 9, "TESTING/oak": 5, "to test": 5}, "split into TESTING, Training,", "Training"),
        ({"train/oak": 9, "train/elm": 9, "test": 20}, "split into test, train", "train"),
        ({f"my data/{folder}": count for folder, count in PARTED.items()}, "split into", "my data/train"),
        ({"photos/oak": 5, "photos/elm/2019": 5, "photos/few": 2}, "deeper inside", "photos"),
        ({"a/b/photos/oak": 5, "a/b/photos/elm": 5, "__MACOSX/a": 5}, "deeper inside", "a/b/photos"),
    ],
)
def test_the_folder_of_categories_that_lies_deeper_is_named(tmp_path, folders, words, named):
    fill(tmp_path, folders)
    fails(lambda: find_images(tmp_path), words, f"`make DATA={shlex.quote(str(tmp_path / named))}`")


@pytest.mark.parametrize(
    "folders",
    [
        *({"train": 5, "test": 5}, {"train/steam": 5, "train/diesel": 5, "car": 5}),
        *({"oak": 6}, {"oak/2019": 4, "oak/2020": 4}, {"oak": 1, "oak/2019": 5, "oak/2020": 5}),
    ],
)
def test_folders_that_may_be_categories_are_taken_as_such(tmp_path, folders):
    assert len(find_images(fill(tmp_path, folders))) == sum(folders.values())


def test_folders_that_systems_make_are_not_entered(root, monkeypatch):
    before = find_images(root)
    fill(root, {"fox/@eaDir/1.jpg": 3, "$Recycle.Bin/S-1": 5, "__MACOSX/fox": 5, "#recycle": 1, "@eaDir": 1})
    fill(root, {"lost+found": 1, "System Volume Information": 1})
    refuse_to_list("lost+found", monkeypatch)
    assert find_images(root) == before
    assert left_out(root, before) == [
        "1 x #recycle, which a system made",
        "1 x $Recycle.Bin, which a system made",
        "2 x @eaDir, which a system made",
        "1 x System Volume Information, which a system made",
        "1 x __MACOSX, which a system made",
        "1 x lost+found, which a system made",
    ]


def test_a_folder_is_read_once_whatever_links_lead_there(root, tmp_path):
    before = find_images(root)
    links = {"again": "", "up": "..", "alias": "owl", "fox/loop": "fox", "fox/owls": "owl"}
    for link, target in links.items():
        (root / link).symlink_to(root / target)
    (root / "self").symlink_to(root / "self")
    assert find_images(root) == before
    assert left_out(root, before) == [
        "5 x link to a folder, which is searched anyway or holds this one",
        "1 x no suffix, not read",
    ]
    fill(tmp_path, {"else/2019": 5})
    (tmp_path / "else" / "back").symlink_to(root)
    for link in ("fox/more", "owl/more", "wolf"):
        (root / link).symlink_to(tmp_path / "else")
    added = sorted(set(find_images(root)) - set(before))
    assert added == [f"fox/more/2019/{number}.jpg" for number in range(5)]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take such names for one")
def test_categories_that_look_the_same_are_refused(tmp_path):
    fill(tmp_path, {"caf\u00e9": 5, "cafe\u0301": 5, "bar": 5})
    fails(lambda: find_images(tmp_path), r"look the same, 'cafe\u0301' and 'caf\xe9': move")


def test_categories_that_letter_case_tells_apart_are_pointed_out():
    assert remarks(["A/1.jpg", "a/1.jpg", "a/2.jpg", "b/A.jpg"]) == [
        "only letter case tells these categories apart: A, a"
    ]
    assert remarks(["A/1.jpg", "A/2.jpg", "b/a.jpg"]) == remarks(["A.jpg", "a.jpg"]) == []


def test_names_reach_no_terminal_as_orders(tmp_path):
    hostile = "o\x1b[31mak\n"
    root = fill(tmp_path / hostile, {hostile: 5, "elm": 5}, ["elm/1.m\x1bv"])
    files = find_images(root)
    assert {category_of(file) for file in files} == {"o\\x1b[31mak\\n", "elm"}
    assert describe(root, dict.fromkeys(files, "")).name == "o\\x1b[31mak\\n"
    assert left_out(root, files) == ["1 x .m\\x1bv, not read"]
    (root / hostile / "0.jpg").unlink()
    fails(lambda: find_images(root), "/o\\x1b[31mak\\n has 4 images")


def test_folders_that_cannot_be_used(root, tmp_path):
    fails(lambda: find_images(tmp_path / "absent"), "absent", "make data", "make DATA=")
    (tmp_path / "void").mkdir()
    fails(lambda: find_images(tmp_path / "void"), "void", "no images")
    (root / "owl" / "0.jpg").unlink()
    assert len(find_images(root)) == 11
    (root / "owl" / "1.jpg").unlink()
    fails(lambda: find_images(root), "owl", "4 images")


def test_without_category_folders_the_images_of_the_folder_are_taken(root, tmp_path):
    flat = root / "fox"
    (flat / "empty").mkdir()
    (flat / "folder.jpg").mkdir()
    (flat / ".hidden.jpg").touch()
    files = find_images(flat)
    assert files == [f"{number}.jpg" for number in range(6)]
    assert {category_of(file) for file in files} == {category_of(str(flat / files[0]))} == {""}
    source = describe(flat, inspect(flat, files).digests)
    assert (source.images, source.categories) == (6, 0)
    (flat / "0.jpg").unlink()
    (flat / "1.jpg").unlink()
    fails(lambda: find_images(flat), "fox has 4 images")


@pytest.mark.parametrize("categories", [0, 1, 2])
def test_what_compares_categories_needs_two(categories):
    data = {"name": "holidays", "categories": categories}
    if categories < 2:
        fails(lambda: need_categories(data), "holidays", "two category folders")
    else:
        need_categories(data)


def test_what_is_left_out_is_counted_by_kind(root, monkeypatch):
    monkeypatch.setattr("retrieval.data.dataset.SUFFIXES", (".jpg", ".png"))
    assert left_out(root, find_images(root)) == []
    for name in ("a.mov", "fox/b.MOV", "c.heic", "fox/d.jpg", "e.png", ".f.mov", ".cache/g.mov", "README"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    assert left_out(root, find_images(root)) == [
        "1 x .heic, to be read once you run `.venv/bin/python -m pip install pillow-heif`",
        "2 x .mov, not read",
        "1 x .png, in no category folder",
        "1 x no suffix, not read",
    ]
    (root / "new").mkdir()
    (root / "new" / "x.mov").touch()
    fails(lambda: find_images(root / "new"), "no images (1 x .mov, not read)")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_unicode_are_refused(root):
    Path(os.fsdecode(os.fsencode(root / "fox") + b"/f\xfc.jpg")).touch()
    fails(lambda: find_images(root), "UTF-8", "rename")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such files")
def test_what_is_no_file_is_found_and_reported_by_name(root):
    before = find_images(root)
    (root / "fox" / "folder.jpg").mkdir()
    (root / "fox" / "linked folder.jpg").symlink_to(root / "owl")
    os.mkfifo(root / "fox" / "pipe.jpg")
    (root / "fox" / "nowhere.jpg").symlink_to("nowhere")
    (root / "fox" / "zeros\n.jpg").symlink_to("/dev/zero")
    files = find_images(root)
    (root / "fox" / "0.jpg").unlink()
    assert sorted(set(files) - set(before)) == ["fox/nowhere.jpg", "fox/pipe.jpg", "fox/zeros\n.jpg"]
    assert fingerprint(root, files) != fingerprint(root, before)
    reasons = inspect(root, files).unreadable
    assert "No such file" in reasons["fox/0.jpg"] and "No such file" in reasons["fox/nowhere.jpg"]
    assert "not a regular file" in reasons["fox/pipe.jpg"]
    assert "fox/zeros\\n.jpg" in reasons["fox/zeros\n.jpg"] and "\n" not in reasons["fox/zeros\n.jpg"]


def refuse_to_list(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder):
        if name in str(folder):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", refuse)


def test_a_folder_that_cannot_be_listed_is_named(root, monkeypatch):
    refuse_to_list("owl", monkeypatch)
    fails(lambda: find_images(root), "owl cannot be listed (Permission denied)", "move it away")
    fails(lambda: images_in(root), "owl cannot be listed (Permission denied)", "move it away")


def test_source_and_fingerprint_follow_the_content(root):
    files = find_images(root)
    source, mark = describe(root, inspect(root, files).digests), fingerprint(root, files)
    assert (source.name, source.images, source.categories, source.is_sample) == ("set", 12, 2, False)
    assert not source.comparable
    assert describe(root, inspect(root, files).digests) == source and fingerprint(root, files) == mark
    scene(99).save(root / "fox/0.jpg", quality=50)
    assert (
        describe(root, inspect(root, files).digests).sha256 != source.sha256
        and fingerprint(root, files) != mark
    )


def test_only_the_whole_real_set_is_comparable():
    whole = {"name": "mammals", "images": REAL_IMAGES, "categories": REAL_CATEGORIES, "is_sample": False}
    assert Source(**whole, sha256=REAL_SHA256).comparable
    assert not Source(**whole, sha256="0" * 64).comparable
    dataset = load_reported()["dataset"]
    assert (dataset["images"], dataset["categories"]) == (REAL_IMAGES, REAL_CATEGORIES)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real set is not in {REAL}")
def test_the_real_set_is_found_whole():
    files = find_images(REAL)
    assert (len(files), len(set(map(category_of, files)))) == (REAL_IMAGES, REAL_CATEGORIES)
    assert describe(REAL, {file: sha256(REAL / file) for file in files}).comparable
