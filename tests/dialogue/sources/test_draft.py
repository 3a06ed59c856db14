from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.privacy import STRUCTURED, Scrubber
from dialogue.records import Dialogue, Reject, content_digest, words_digest
from dialogue.sources.draft import (
    MAX_TURNS,
    Draft,
    Provenance,
    finish,
    finish_reject,
    set_aside,
    speakers_as_roles,
)
from dialogue.sources.reading import shown
from tests.dialogue import privacy_corpus as corpus

HERE = Provenance("chat", "a source", "MIT", "0" * 64, 0.2, 0.1, Scrubber(()))
SCRUBBED = dataclasses.replace(HERE, scrub=Scrubber(("email",)))


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
        ([("user", "a\x00b"), ("assistant", "y")], "NUL byte: at character 1"),
        ([("user", "hi"), ("assistant", "y")] * MAX_TURNS, "too many turns: 20000, at most 10000"),
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
    one = finished(("user", "Is it five o'clock?"), ("assistant", "Yes!"))
    other = finished(("user", "is it  five oclock"), ("assistant", "yes"))
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


def test_every_text_is_scrubbed_before_it_is_hashed() -> None:
    def made(name: str) -> Dialogue:
        turns = [("system", f"room of {name}"), ("user", f"mail {name}"), ("assistant", name)]
        draft = Draft("file:1", turns, persona=f"I am {name}", label=f"who: {name}")
        row = finish(draft, SCRUBBED)
        assert isinstance(row, Dialogue)
        return row

    one, other = made("ann@example.org"), made("bob@example.com")
    assert one == other
    assert [turn.text for turn in one.turns] == ["room of [EMAIL]", "mail [EMAIL]", "[EMAIL]"]
    assert (one.persona, one.label) == ("I am [EMAIL]", "who: [EMAIL]")


def test_what_is_set_aside_is_scrubbed_whole_and_then_cut() -> None:
    # The address lies across the excerpt's end: cut first, its beginning would be kept.
    row = set_aside("file:1", "unknown role: 'a@b.org'", "x " * 96 + "ann@example.org" + " y" * 300)
    kept = finish_reject(row, Scrubber(("email",)))
    assert kept.reason == "unknown role: '[EMAIL]'"
    assert kept.excerpt == "x " * 96 + "[EMAIL]" + " "
    spoiled = finish(Draft("file:1", [("user", "mail a@b.org"), ("assistant", "\x00")]), SCRUBBED)
    assert isinstance(spoiled, Reject)
    assert spoiled.excerpt.startswith("mail [EMAIL]\n")


def test_labelled_texts_that_are_equal_never_straddle() -> None:
    def split(label: str, text: str) -> str:
        turns = [("user", text), ("assistant", label)]
        row = finish(Draft("file:1", turns, label=label), HERE)
        assert isinstance(row, Dialogue)
        return row.split

    texts = [f"text {chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(200)]
    for text in texts:
        assert split("good", text) == split("bad", f" {text.upper()}!")
    assert len({split("good", text) for text in texts}) == 3


@pytest.mark.parametrize("persona", ["a\x00b", "\ud800"])
def test_a_persona_that_cannot_be_stored_sets_its_dialogue_aside(persona: str) -> None:
    turns = [("user", "a"), ("assistant", "b")]
    assert isinstance(finish(Draft("file:1", turns, persona=persona), HERE), Reject)
    assert isinstance(finish(Draft("file:1", turns, label=persona), HERE), Reject)


_ITEMS = st.sampled_from(
    [example for example in corpus.personal() if len(example.text) < 600 and len(example.item) >= 6]
)
_FRONTS = st.lists(
    st.sampled_from(
        (
            "ann.longname@mail.example.org, ",
            "4111 1111 1111 1111, ",
            "DE89 3704 0044 0532 0130 00, ",
            f"password: {'a1' * 200} ",
            "just words ",
        )
    ),
    max_size=8,
).map("".join)


@settings(deadline=None)
@given(_ITEMS, _FRONTS, st.sampled_from((200, 400, 4_096, 5_120)), st.integers(-60, 60))
def test_no_part_of_an_item_survives_where_an_excerpt_is_cut(
    example: corpus.Example, front: str, near: int, offset: int
) -> None:
    filler = "wörter und so " * 400
    before = f"{front}{filler}"[: near + offset - example.start] + "\n"
    row = set_aside("file:1", "why", f"{before}{example.text}\n{filler}")
    kept = finish_reject(row, Scrubber(STRUCTURED)).excerpt
    # The sentence around an item may share characters with it; those are no part of the item.
    around = before + example.text[: example.start] + "|" + example.text[example.end :]
    parts = {example.item[i : i + 6] for i in range(len(example.item) - 5)}
    assert [part for part in parts if part in kept and part not in around + filler] == []


@given(st.integers(1, 60))
def test_a_row_that_is_cut_already_keeps_no_half_item(num_kept: int) -> None:
    text = ("x " * 1_000 + "ann.longname@mail.example.org")[: 2_000 + num_kept]
    row = set_aside("file:1", "too large", text, is_whole=False)
    assert row.excerpt
    assert "ann" not in row.excerpt
    near = "password: a1a1a1a1 " * 60 + "ann.longname@mail.example.org"[:num_kept]
    assert "ann" not in set_aside("file:1", "too large", near, is_whole=False).excerpt


@given(st.integers(0, 60))
def test_a_value_that_an_error_shows_keeps_no_half_item(offset: int) -> None:
    said = shown("x" * offset + " ann.longname@mail.example.org")
    assert "ann" not in said
    assert "ann" not in shown(["x" * offset, "ann.longname@mail.example.org"])


def test_a_row_in_another_encoding_is_searched_all_the_same() -> None:
    text = "call +49 170 1234567 or ann@example.org".encode("utf-16-le").decode()
    assert set_aside("file:1", "not JSON", text).excerpt == "call [PHONE] or [EMAIL]"
