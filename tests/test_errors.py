"""Names in messages: whatever a file or folder is called, it stays on its line and gives no orders."""

from __future__ import annotations

import pytest

from retrieval.errors import RetrievalError, shown


@pytest.mark.parametrize("character", "\0\t\n\r\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066\udcfc")
def test_what_a_terminal_would_obey_is_escaped_in_every_message(character: str) -> None:
    message = str(RetrievalError(f"photos/a{character}b.jpg cannot be read: replace it"))
    assert message == f"photos/a{ascii(character)[1:-1]}b.jpg cannot be read: replace it"
    assert message.isprintable()


@pytest.mark.parametrize(
    "name", ["it's a scan", "Füchsin", "狐\u3000狸", "क\u200cष", "👨\u200d👩\u200d👧", "a\\nb"]
)
def test_letters_of_any_alphabet_stay_as_they_are(name: str) -> None:
    assert shown(name) == name
