from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.home_assistant import read_home_assistant
from dialogue.sources.formats.home_assistant.dice import Dice
from dialogue.sources.formats.home_assistant.labelled import (
    read_home_assistant_intents,
    read_home_assistant_slots,
)
from dialogue.sources.reading import Reading

READING = Reading("ingest.sources.x", max_row_bytes=1 << 20)

ROOT = Path(__file__).parents[4]
LANGUAGE: dict[str, Any] = {
    "language": "en",
    "lists": {
        "color": {"values": [{"in": "(red|scarlet)", "out": "red"}]},
        "level": {"range": {"from": 0, "to": 100}},
        "states": {"values": [{"in": "on", "out": "on"}, {"in": "off", "out": "off"}]},
    },
    "expansion_rules": {"the": "(the|my)"},
    "intents": {
        "HassLightSet": {
            "data": [
                {
                    "sentences": ["make [<the>] {name} {color}", "{name} (to {level};in {area})"],
                    "requires_context": {"domain": ["light"]},
                    "response": "set",
                }
            ]
        },
        "HassGetState": {
            "data": [
                {
                    "sentences": ["which lights are {states:state}"],
                    "slots": {"domain": "light"},
                    "response": "which",
                }
            ]
        },
        "HassNevermind": {"data": [{"sentences": ["never mind"], "response": "default"}]},
        "HassBroken": {"data": [{"sentences": ["break"], "response": "default"}]},
        "HassHalf": {"data": [{"sentences": ["do [this"], "response": "default"}]},
        "HassUnknownList": {"data": [{"sentences": ["do {anything}"], "response": "default"}]},
    },
    "responses": {
        "intents": {
            "HassLightSet": {"set": "{{ slots.name }} was\n set"},
            "HassGetState": {
                "which": "{% if query.matched %}{{ query.matched | map(attribute='name') | sort "
                "| join(' and ') }}{% else %}none{% endif %}"
            },
            "HassNevermind": {"default": " "},
            "HassBroken": {"default": "{{ slots.missing }}"},
            "HassUnknownList": {"default": "done"},
        }
    },
}


def rows_of(language: object) -> list[Draft | Reject]:
    return list(read_home_assistant("en.json", io.BytesIO(json.dumps(language).encode()), READING))


def test_sentences_are_drawn_and_answered() -> None:
    drafts = [row for row in rows_of(LANGUAGE) if isinstance(row, Draft)]
    colors = [draft for draft in drafts if draft.split_key == "make [<the>] {name} {color}"]
    assert len(colors) > 3
    assert len({draft.turns[-2][1] for draft in colors}) == len(colors)
    for draft in colors:
        (asking, sentence), (answering, answer) = draft.turns
        assert (asking, answering) == ("user", "assistant")
        words = sentence.casefold().rstrip(".").split()
        assert words[0] == "make"
        assert words[-1] in ("red", "scarlet")
        assert answer.endswith(" was set")
        assert answer.removesuffix(" was set").casefold() in sentence.casefold()


def test_a_question_about_the_home_is_told_the_home_and_answered_from_it() -> None:
    asked = [row for row in rows_of(LANGUAGE) if "HassGetState" in row.origin]
    assert asked
    for draft in asked:
        assert isinstance(draft, Draft)
        (_, told), (_, question), (_, answer) = draft.turns
        state = question.rstrip("?").split()[-1]
        things = dict(part.split(": ") for part in told[:-1].split(". ")[1].split("; "))
        fitting = sorted(name for name, found in things.items() if found == state)
        assert answer.casefold() == (" and ".join(fitting) or "none").casefold()


def test_what_has_no_answer_or_breaks_is_set_aside_once() -> None:
    rejects = [row for row in rows_of(LANGUAGE) if isinstance(row, Reject)]
    assert [(row.origin, row.kind) for row in rejects] == [
        ("en.json#HassNevermind[0][0]", "scope"),
        ("en.json#HassBroken[0][0]", "fault"),
        ("en.json#HassHalf[0][0]", "fault"),
        ("en.json#HassUnknownList[0][0]", "fault"),
    ]
    assert rejects[1].reason.startswith("cannot be rendered: UndefinedError")


def test_templates_cannot_reach_what_is_not_theirs() -> None:
    hostile = json.loads(json.dumps(LANGUAGE))
    responses = hostile["responses"]["intents"]
    responses["HassBroken"]["default"] = "{{ slots.__class__.__mro__ }}"
    (row,) = [row for row in rows_of(hostile) if "HassBroken" in row.origin]
    assert isinstance(row, Reject)
    assert "SecurityError" in row.reason


def test_the_draw_is_the_same_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "en.json"
    path.write_text(json.dumps(LANGUAGE))
    program = (
        "import sys; from dialogue.sources.formats.home_assistant import read_home_assistant as r;"
        "print(list(r('en.json', open(sys.argv[1], 'rb'), None)))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program, str(path)],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert runs == {f"{rows_of(LANGUAGE)}\n"}


def test_the_dice_are_written_down() -> None:
    dice = Dice("seed")
    assert [dice.below(100) for _ in range(4)] == [24, 66, 98, 46]
    assert sorted(dice.shuffled("abc")) == ["a", "b", "c"]
    assert {dice.between(1, 2) for _ in range(50)} == {1, 2}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "en.json:1: not JSON"),
        (b"{}", "en.json: lacks `intents`"),
        (
            b'{"intents": {"A": {}}, "responses": {}, "lists": {}, "expansion_rules": {}}',
            "en.json: wrong shape: KeyError",
        ),
    ],
)
def test_an_unusable_file_is_told(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(read_home_assistant("en.json", io.BytesIO(content), READING))


def test_commands_are_labelled_with_their_intent_and_equal_texts_stand_once() -> None:
    language = json.loads(json.dumps(LANGUAGE))
    language["intents"]["HassSame"] = {"data": [{"sentences": ["never  mind"]}]}
    asked = Reading("ingest.sources.x", 1 << 20, question="Which intent?")
    rows = list(
        read_home_assistant_intents("en.json", io.BytesIO(json.dumps(language).encode()), asked)
    )
    drafts = [row for row in rows if isinstance(row, Draft)]
    assert {draft.label for draft in drafts} >= {"HassLightSet", "HassGetState", "HassNevermind"}
    for draft in drafts:
        (_, question), (_, answer) = draft.turns
        assert question.endswith("\nWhich intent?")
        assert answer == draft.label
        assert f"#{answer}[" in draft.origin
    by_text: dict[str, set[str | None]] = {}
    for draft in drafts:
        words = "".join(filter(str.isalnum, draft.turns[0][1].casefold()))
        by_text.setdefault(words, set()).add(draft.split_key)
    assert all(len(keys) == 1 for keys in by_text.values())
    (same,) = {row.reason for row in rows if isinstance(row, Reject) and row.kind == "duplicate"}
    assert same.startswith("duplicate of a sentence of en.json#HassNevermind")


def test_commands_are_labelled_with_their_slots_as_worded() -> None:
    kinds = {"name": "thing", "none": "nothing"}
    kinds |= {kind: kind for kind in ("color", "level", "area", "state")}
    asked = Reading("ingest.sources.x", 1 << 20, question="Slots?", labels=kinds)
    rows = read_home_assistant_slots("en.json", io.BytesIO(json.dumps(LANGUAGE).encode()), asked)
    drafts = [row for row in rows if isinstance(row, Draft)]
    for draft in drafts:
        text = draft.turns[0][1].casefold()
        assert draft.label is not None
        if draft.label == "nothing":
            assert "mind" in text or "break" in text
            continue
        for entity in draft.label.split("; "):
            kind, _, words = entity.partition(": ")
            assert kind in kinds.values()
            assert words.casefold() in text
    assert any("thing: " in str(draft.label) for draft in drafts)
