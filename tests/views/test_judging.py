"""The view of a feedback session without a browser: what its buttons say and do."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pytest
import tiny

from retrieval.data.images import load_image
from retrieval.search import session
from retrieval.views import judging

SHOWN = 6


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> judging.Collection:
    root = tmp_path_factory.mktemp("data") / "photos"
    tiny.draw(root)
    return tiny.collection(root)


@pytest.fixture
def view(collection: judging.Collection) -> judging.Judging:
    return judging.Judging(collection, shown=SHOWN)


def pictures(view: judging.Judging, number: int) -> tuple[widgets.Button, ...]:
    """Those of a round."""
    return view.rounds.children[1 + number].children[-1].children


def captions(view: judging.Judging, number: int) -> list[str]:
    return [picture.description for picture in pictures(view, number)]


def heading(view: judging.Judging, number: int) -> str:
    return view.rounds.children[1 + number].children[0].value.rpartition("</style>")[2]


def test_a_click_is_a_mark_that_is_written_and_framed(view: judging.Judging) -> None:
    seen = []
    for _ in range(3):
        pictures(view, 0)[2].click()
        classes = {"relevant", "irrelevant"} & set(pictures(view, 0)[2]._dom_classes)
        seen.append((pictures(view, 0)[2].description, *classes))
    assert seen == [("✓ relevant", "relevant"), ("✗ irrelevant", "irrelevant"), ("not judged",)]
    assert captions(view, 0) == ["not judged"] * SHOWN


def test_a_round_needs_a_mark_and_undo_something_to_take_back(view: judging.Judging) -> None:
    assert view.next.disabled and view.undo.disabled
    pictures(view, 0)[0].click()
    assert not view.next.disabled and not view.undo.disabled


def test_the_next_round_stands_beside_the_one_before(
    view: judging.Judging, collection: judging.Collection
) -> None:
    pictures(view, 0)[5].click()
    view.next.click()
    index, query = collection.gallery.features, collection.queries.features[0]
    expected = session.search((), index, query, shown=SHOWN)
    expected = session.mark(expected, int(expected[0].shown[5]))
    expected = session.search(
        expected, collection.gallery.features, collection.queries.features[0], shown=SHOWN
    )
    for number, each in enumerate(expected):
        shown = [Path(collection.gallery.files[position]).stem for position in each.shown]
        assert [picture.tooltip for picture in pictures(view, number)] == shown
        precision, new, right = session.score(expected, number, view.right)
        assert f"round {number}</b>, P@{SHOWN} {precision:.2f}" in heading(view, number)
        assert heading(view, number).endswith(f"{new} new ones, {right} of them right")
    assert captions(view, 0)[5] == "✓ relevant" and captions(view, 1).count("✓ relevant") == 1
    assert all(picture.disabled for picture in pictures(view, 0))
    assert not any(picture.disabled for picture in pictures(view, 1))


def test_a_round_keeps_the_marks_it_ended_with(view: judging.Judging) -> None:
    pictures(view, 0)[0].click()
    view.next.click()
    again = captions(view, 1).index("✓ relevant")
    pictures(view, 1)[again].click()
    assert captions(view, 0)[0] == "✓ relevant" and captions(view, 1)[again] == "✗ irrelevant"


def test_undo_takes_back_marks_and_rounds_one_by_one(view: judging.Judging) -> None:
    pictures(view, 0)[0].click()
    pictures(view, 0)[1].click()
    view.next.click()
    kept = view.rounds.children[1]
    view.undo.click()
    assert view.rounds.children[1:] == (kept,) and not pictures(view, 0)[0].disabled
    view.undo.click()
    assert captions(view, 0)[:2] == ["✓ relevant", "not judged"]
    view.undo.click()
    assert captions(view, 0)[0] == "not judged" and view.undo.disabled
    view.undo.click()
    assert len(view.sessions) == 1


def test_another_query_is_another_session(view: judging.Judging, collection: judging.Collection) -> None:
    pictures(view, 0)[0].click()
    view.next.click()
    view.choice.value = 1
    assert len(view.rounds.children) == 2 and captions(view, 0) == ["not judged"] * SHOWN
    (query,) = pictures(view, -1)
    assert query.description == "query" and query.tooltip == Path(collection.queries.files[1]).stem
    first = session.search((), collection.gallery.features, collection.queries.features[1], shown=SHOWN)[
        0
    ].shown
    assert pictures(view, 0)[0].tooltip == Path(collection.gallery.files[first[0]]).stem


def test_pictures_are_small_and_made_once(collection: judging.Collection, monkeypatch) -> None:
    made = []

    def thumbnail(path):
        made.append(path)
        return original(path)

    original = judging.thumbnail
    monkeypatch.setattr(judging, "thumbnail", thumbnail)
    judging._jpeg.cache_clear()
    view = judging.Judging(collection, shown=SHOWN)
    for _ in range(3):
        pictures(view, len(view.rounds.children) - 2)[0].click()
        view.next.click()
    assert len(made) == len(set(made)) >= SHOWN + 1
    assert all(len(b64decode(judging._jpeg(path))) < 10_000 for path in made)


def test_each_button_has_the_picture_of_its_file(view: judging.Judging, collection, tmp_path: Path) -> None:
    style = view.rounds.children[1].children[0].value
    for picture, position in zip(pictures(view, 0), view.sessions[-1][0].shown, strict=True):
        (name,) = (each for each in picture._dom_classes if each.startswith("picture-"))
        rule = style.partition(f".{name} {{")[2].partition("}")[0]
        (tmp_path / "shown.jpg").write_bytes(b64decode(rule.partition("base64,")[2].partition(")")[0]))
        shown = load_image(tmp_path / "shown.jpg", 8).astype(int)
        drawn = load_image(collection.root / collection.gallery.files[position], 8).astype(int)
        assert np.abs(shown - drawn).mean() < 12


def test_no_name_of_a_file_is_written_as_html(view: judging.Judging, collection) -> None:
    hostile = [row for row, file in enumerate(collection.queries.files) if "<script>" in file]
    view.choice.value = hostile[0]
    values = [column.children[0].value for column in view.rounds.children]
    assert not any("script" in value for value in values)
