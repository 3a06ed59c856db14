from __future__ import annotations

import csv
import io

import pytest

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.synthetic_persona_chat import read_synthetic_persona_chat
from dialogue.sources.reading import Reading

READING = Reading("ingest.sources.x", max_row_bytes=1 << 20)
HEADER = ["user 1 personas", "user 2 personas", "Best Generated Conversation"]


def rows_of(*rows: list[str]) -> list[Draft | Reject]:
    sink = io.StringIO()
    csv.writer(sink).writerows([HEADER, *rows])
    return list(read_synthetic_persona_chat("f", io.BytesIO(sink.getvalue().encode()), READING))


def test_who_answers_has_the_persona() -> None:
    one, two, chinese = rows_of(
        ["I bake.\nI sing.", "I fly.", "User 1: Hi!\nUser 2: Hello!\nit is late\n\nso late"],
        ["I bake.", "I fly.", "* User 2: Hi!\n**User 1:** Hello!\nUser 2: Bye!"],
        ["我做饭。", "我开飞机。", "用户 1：你好！\n用户 2：您好！"],
    )
    assert isinstance(one, Draft)
    assert (one.origin, one.persona) == ("f:2", "I fly.")
    assert one.turns == [
        ("system", "I fly."),
        ("user", "Hi!"),
        ("assistant", "Hello!\nit is late\n\nso late"),
    ]
    assert isinstance(two, Draft)
    assert two.persona == "I bake."
    assert two.turns[1:] == [("user", "Hi!"), ("assistant", "Hello!"), ("user", "Bye!")]
    assert isinstance(chinese, Draft)
    assert chinese.turns == [("system", "我开飞机。"), ("user", "你好！"), ("assistant", "您好！")]


def test_a_conversation_without_a_speaker_is_set_aside() -> None:
    odd, blank = rows_of(["a", "b", "Hi there!\nUser 1: hi"], ["a", "b", " "])
    assert isinstance(odd, Reject)
    assert odd.reason.startswith("no speaker")
    assert isinstance(blank, Reject)


def test_another_csv_is_told() -> None:
    with pytest.raises(ValueError, match="f:1: no column `user 1 personas`, only a, b"):
        list(read_synthetic_persona_chat("f", io.BytesIO(b"a,b\n1,2\n"), READING))
