from __future__ import annotations

import io

import pytest

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.chatterbot import read_chatterbot
from dialogue.sources.reading import Reading

READING = Reading("ingest.sources.x", max_row_bytes=1 << 20)

CORPUS = """\
categories:
- trivia
conversations:
- - When did the war end?
  - 1945
- - Is water wet?
  - yes
- - - nested
- a bare question
- - When did the WAR end
  - "In May, 1945."
- - Say nothing
  - ~
"""


def rows_of(text: str) -> list[Draft | Reject]:
    return list(read_chatterbot("trivia.yml", io.BytesIO(text.encode()), READING))


def test_scalars_keep_their_spelling_and_rows_their_line() -> None:
    year, wet, nested, bare, other, nothing = rows_of(CORPUS)
    assert isinstance(year, Draft)
    assert year.turns == [("user", "When did the war end?"), ("assistant", "1945")]
    assert year.origin == "trivia.yml:4"
    assert isinstance(wet, Draft)
    assert wet.turns[1] == ("assistant", "yes")
    assert isinstance(nested, Reject)
    assert nested.reason.startswith("nested")
    assert isinstance(bare, Reject)
    assert (bare.origin, bare.excerpt) == ("trivia.yml:9", "a bare question")
    assert isinstance(other, Draft)
    assert other.split_key == year.split_key != wet.split_key
    assert isinstance(nothing, Draft)
    assert nothing.turns[1] == ("assistant", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("conversations:\n- [a, b\n", r"trivia.yml:\d: not valid YAML"),
        ("categories: [x]\n", "no list `conversations:`"),
        ("- a\n", "no list `conversations:`"),
        ("conversations: soon\n", "no list `conversations:`"),
    ],
)
def test_an_unusable_file_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rows_of(text)
