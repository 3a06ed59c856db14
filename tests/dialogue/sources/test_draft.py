from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.records import Dialogue, Reject, content_digest, words_digest
from dialogue.sources.draft import Draft, Provenance, finish, speakers_as_roles

HERE = Provenance("chat", "a source", "MIT", "0" * 64, test_share=0.2, validation_share=0.1)


def finished(*turns: tuple[str, str], split_key: str | None = None) -> Dialogue | Reject:
    return finish(Draft("file:1", turns, split_key), HERE)


def said(*turns: tuple[str, str]) -> list[tuple[str, str]]:
    dialogue = finished(*turns)
    assert isinstance(dialogue, Dialogue)
    return [(turn.role, turn.text) for turn in dialogue.turns]


def test_messages_in_a_row_are_joined_and_empty_ones_left_out() -> None:
    assert said(
        ("user", " hi "), ("user", "  "), ("user", "there"), ("assistant", ""), ("assistant", "yo")
    ) == [("user", "hi\nthere"), ("assistant", "yo")]


def test_what_holds_no_reply_is_cut_off_at_both_ends() -> None:
    assert said(
        ("system", "be kind"),
        ("assistant", "welcome"),
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "bye"),
    ) == [("system", "be kind"), ("user", "hi"), ("assistant", "hello")]


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "no reply"),
        ([("user", "hi")], "no reply"),
        ([("assistant", "hi")], "no reply"),
        ([("user", "hi"), ("tool", "42")], "unknown role: 'tool'"),
        ([("user", "hi"), ("system", "x"), ("assistant", "y")], "misplaced system turn"),
        ([("user", "\ud800"), ("assistant", "y")], "lone surrogate"),
    ],
)
def test_what_is_no_dialogue_is_set_aside_with_its_reason(
    turns: list[tuple[str, str]], reason: str
) -> None:
    row = finished(*turns)
    assert isinstance(row, Reject)
    assert row.origin == "file:1"
    assert reason in row.reason
    row.excerpt.encode()


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text())))
def test_a_dialogue_is_always_well_formed(turns: list[tuple[str, str]]) -> None:
    row = finished(*turns)
    if isinstance(row, Dialogue):
        roles = [turn.role for turn in row.turns]
        spoken = roles[1:] if roles[0] == "system" else roles
        assert spoken == ["user", "assistant"] * (len(spoken) // 2)
        assert spoken
        assert all(turn.text.strip() for turn in row.turns)
        assert row.id == content_digest(row.turns)[:16]


def test_typography_does_not_change_the_split() -> None:
    one = finished(("user", "Is it 5 o'clock?"), ("assistant", "Yes!"))
    other = finished(("user", "is it  5 oclock"), ("assistant", "yes"))
    assert isinstance(one, Dialogue)
    assert isinstance(other, Dialogue)
    assert one.id != other.id
    assert words_digest(one.turns) == words_digest(other.turns)
    assert one.split == other.split


def test_dialogues_with_one_split_key_are_in_one_split() -> None:
    rows = [finished(("user", str(i)), ("assistant", "x"), split_key="k") for i in range(50)]
    assert len({row.split for row in rows if isinstance(row, Dialogue)}) == 1


def test_the_first_speaker_is_the_user() -> None:
    spoken = [("bob", "hi"), ("ann", "hello"), ("bob", "bye")]
    assert speakers_as_roles(spoken) == [("user", "hi"), ("assistant", "hello"), ("user", "bye")]
    assert speakers_as_roles([]) == []
