"""Query by example without a browser: a picture is chosen or named, and its results are marked."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from html import escape
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from retrieval.data import decoding
from retrieval.data.images import encoded
from retrieval.errors import shown
from retrieval.search import session
from retrieval.search.retriever import Retriever
from retrieval.views.query_by_example import QueryByExample

SHOWN = 6
HOSTILE = "<img src=x onerror=alert(1)>$x$\u202e.png"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "photos"
    tiny.draw(root)
    return root


@pytest.fixture
def retriever(original: Path, tmp_path: Path) -> Retriever:
    """Of a copy of the pictures, which a test may delete."""
    return tiny.retriever(shutil.copytree(original, tmp_path / "photos"))


@pytest.fixture
def view(retriever: Retriever) -> QueryByExample:
    return QueryByExample(retriever, shown=SHOWN)


def picture(*colour: int) -> bytes:
    return encoded(Image.new("RGB", (40, 30), colour), "PNG")


def choose(view: QueryByExample, content: bytes, name: str = "mine.png") -> None:
    """What the front end does when a file is chosen."""
    about = {"type": "image/png", "size": len(content), "last_modified": datetime.now(timezone.utc)}
    view.upload.value = ({"name": name, "content": memoryview(content), **about},)


def titles(view: QueryByExample, number: int) -> list[str]:
    return [each.tooltip for each in view.rounds.children[1 + number].children[-1].children]


def heading(view: QueryByExample, number: int) -> str:
    return view.rounds.children[1 + number].children[0].value.rpartition("</style>")[2]


def test_at_first_there_is_nothing_to_click(view: QueryByExample) -> None:
    assert view.rounds.children == () and view.next.disabled and view.undo.disabled
    view.undo.click()
    view.path.value = " "
    assert (view.rounds.children, view.error.value) == ((), "")


@pytest.mark.parametrize("way", ["chosen", "named"])
def test_a_picture_brings_the_nearest_and_the_verdict(
    view: QueryByExample, retriever: Retriever, tmp_path: Path, way: str
) -> None:
    content = picture(40, 90, 160)
    (tmp_path / "mine.png").write_bytes(content)
    if way == "chosen":
        choose(view, content)
    else:
        view.path.value = f"{tmp_path / 'mine.png'} "
    answer = retriever.search(content, SHOWN)
    assert titles(view, -1) == ["mine.png"]
    assert titles(view, 0) == [Path(file).stem for file in answer.files]
    assert view.verdict.value == f"mine.png: {answer.verdict}"
    assert answer.verdict.startswith("The gallery has similar images (")
    assert heading(view, 0) == f"<b>round 0</b><br>{SHOWN} new ones" and not view.error.value


def test_a_picture_unlike_the_gallery_and_one_of_it_are_said_to_be_so(
    view: QueryByExample, retriever: Retriever
) -> None:
    choose(view, picture(255, 0, 255))
    assert "The gallery has nothing similar (distance " in view.verdict.value
    view.path.value = str(retriever.root / retriever.files[3])
    assert "This picture is in the gallery" in view.verdict.value
    assert titles(view, 0)[0] == Path(retriever.files[3]).stem


def test_marks_make_the_next_round_and_undo_takes_it_back(view: QueryByExample, retriever: Retriever) -> None:
    content = picture(130, 80, 30)
    choose(view, content)
    view.rounds.children[1].children[-1].children[5].click()
    view.next.click()
    rows, query = retriever.features, retriever.model.encode(content)
    expected = session.search((), rows, query, shown=SHOWN)
    expected = session.search(session.mark(expected, int(expected[0].shown[5])), rows, query, shown=SHOWN)
    assert titles(view, 1) == [Path(retriever.files[row]).stem for row in expected[1].shown]
    assert heading(view, 1) == f"<b>round 1</b><br>{session.new(expected, 1).sum()} new ones"
    view.undo.click()
    assert len(view.rounds.children) == 2 and not view.next.disabled


def test_a_picture_can_be_chosen_again_and_is_not_kept(view: QueryByExample, retriever: Retriever) -> None:
    path = str(retriever.root / retriever.files[0])
    for _ in range(2):
        view.path.value = path
        assert titles(view, -1) == [Path(path).name]
        choose(view, picture(9, 9, 9))
        assert titles(view, -1) == ["mine.png"] and view.upload.value == () and view.path.value == ""


@pytest.mark.parametrize(
    ("way", "value", "message"),
    [
        ("chosen", b"<script>alert(1)</script>", "cannot be read (not an image): "),
        ("chosen", b"", "cannot be read ("),
        ("chosen", HEIC, "cannot be read (its reader is missing): run `"),
        ("named", "/nowhere/<b>.jpg", "/nowhere/<b>.jpg is no file"),
        ("named", "https://example.org/a.jpg", "example.org/a.jpg is no file"),
        ("named", "~no-such-user/a.jpg", "~no-such-user/a.jpg is no file"),
        ("named", "/", "/ is no file"),
        ("named", __file__, "test_query_by_example.py cannot be read (not an image)"),
    ],
)
def test_what_cannot_be_searched_for_is_said_in_one_line_and_nothing_is_lost(
    view: QueryByExample, monkeypatch: pytest.MonkeyPatch, way: str, value, message: str
) -> None:
    monkeypatch.setattr(decoding, "FORMATS", ("JPEG", "PNG"))
    choose(view, picture(210, 110, 30))
    view.rounds.children[1].children[-1].children[2].click()
    before = view.rounds.children, list(view.sessions), view.verdict.value
    if way == "chosen":
        choose(view, value)
    else:
        view.path.value = value
    said = view.error.value
    assert said.startswith('<span role="alert">') and escape(message) in said and "\n" not in said
    assert (view.rounds.children, view.sessions, view.verdict.value) == before and not view.next.disabled
    view.next.click()
    assert len(view.rounds.children) == 3 and not view.error.value


def test_a_gallery_whose_pictures_are_gone_loses_no_session(
    view: QueryByExample, retriever: Retriever
) -> None:
    choose(view, picture(60, 140, 50))
    view.rounds.children[1].children[-1].children[0].click()
    before = view.rounds.children, list(view.sessions)
    shown_first = set(view.sessions[-1][0].shown.tolist())
    for row in set(range(len(retriever.files))) - shown_first:
        (retriever.root / retriever.files[row]).unlink()
    choose(view, picture(210, 110, 30))
    assert "cannot be read (No such file or directory)" in view.error.value
    assert (view.rounds.children, view.sessions) == before


def test_no_name_is_written_as_html(view: QueryByExample, tmp_path: Path) -> None:
    choose(view, picture(1, 2, 3), HOSTILE)
    (tmp_path / HOSTILE).write_bytes(b"no picture")
    view.path.value = str(tmp_path / HOSTILE)
    written = [view.verdict.value, view.error.value, heading(view, -1), heading(view, 0)]
    assert all(escape(shown(HOSTILE)) in each for each in written[:2])
    assert not any("<img" in each or "\u202e" in each for each in written)


def test_the_query_is_shown_small(view: QueryByExample) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    choose(view, encoded(Image.fromarray(noise), "PNG"))
    assert len(view.rounds.children[0].children[0].value) < 30_000
