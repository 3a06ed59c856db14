from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.facts import REQUIRED, facts_of, is_faulty, reason_of, starts_of
from dialogue.records import SCHEMA

Row = dict[str, Any]


def table(*dialogues: Sequence[tuple[str | None, str | None]], **change: Any) -> pa.Table:
    """Dialogues of (role, text) as a table of records."""
    rows: list[Row] = []
    for index, turns in enumerate(dialogues):
        for turn, (role, text) in enumerate(turns):
            row = dict.fromkeys(SCHEMA.names, "x") | {"turn": turn, "role": role, "text": text}
            row |= {"dialogue_id": f"d{index}", "split": "train", "domain": "chat"}
            rows.append(row | change)
    loose = pa.schema([pa.field(field.name, field.type) for field in SCHEMA])
    return pa.Table.from_pylist(rows, loose)


def facts(*dialogues: Sequence[tuple[str | None, str | None]], **change: Any) -> dict[str, Any]:
    """The facts of the first dialogue, as Python values."""
    found = facts_of(table(*dialogues, **change), "chat")
    return {name: values[0].item() for name, values in found.items()}


GOOD = (("user", "hello"), ("assistant", "hi there"))
SOUND = {"opens_with_user", "ends_with_assistant", "alternates", "in_order", "one_split"}


def test_a_sound_dialogue_has_nothing_against_it() -> None:
    found = facts(GOOD)
    assert all(found[name] for name in SOUND)
    assert (found["num_turns"], found["longest_turn"], found["num_characters"]) == (2, 8, 13)
    counted = set(found) - SOUND - {"num_turns", "longest_turn", "num_characters", "split"}
    assert len(counted) == 7 + len(REQUIRED)
    assert not any(found[name] for name in counted)
    assert all(facts((("system", "be kind"), *GOOD))[name] for name in SOUND)


@pytest.mark.parametrize(
    ("roles", "broken"),
    [
        ("a", {"opens_with_user"}),
        ("s", {"opens_with_user", "ends_with_assistant"}),
        ("u", {"ends_with_assistant"}),
        ("uua", {"alternates"}),
        ("usa", {"alternates"}),
        ("ssua", {"alternates", "opens_with_user"}),
        ("au", {"alternates", "opens_with_user", "ends_with_assistant"}),
    ],
)
def test_who_speaks_when(roles: str, broken: set[str]) -> None:
    names = {"s": "system", "u": "user", "a": "assistant"}
    found = facts([(names[role], "x") for role in roles])
    missing = {name for name in SOUND if not found[name]}
    assert missing - {"alternates"} == broken - {"alternates"}
    assert roles in ("a", "s", "u") or missing == broken


def test_what_is_missing_or_foreign_is_counted_by_turn() -> None:
    assert facts((("user", None), ("bot", "")))["empty_turns"] == 2
    assert facts((("user", None), ("bot", "")))["null_text"] == 1
    assert facts((("bot", "x"), (None, "x")))["unknown_roles"] == 2
    assert facts(GOOD, domain="else")["foreign_turns"] == 2
    assert facts(GOOD, split="dev")["unknown_splits"] == 2
    assert facts(GOOD, split="test")["split"] == 2
    assert facts(GOOD, licence=None)["null_licence"] == 2
    assert not facts(GOOD, turn=7)["in_order"]


@pytest.mark.parametrize(
    ("text", "damage"),
    [
        ("a\0b", "NUL"),
        ("a\ufffdb", "U+FFFD"),
        ("cafÃ©", "mojibake"),
        ("donâ€™t", "mojibake"),
        ("ä½\xa0å¥½", "mojibake"),
        ("ðŸ˜€ nice", "mojibake"),
        ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "mojibake"),
    ],
)
def test_damage_is_found_in_any_turn(text: str, damage: str) -> None:
    found = facts_of(table(GOOD, (GOOD[0], ("assistant", text))), "chat")
    assert found[f"damage_{damage}"].tolist() == [0, 1]
    assert is_faulty(found, 100, 10).tolist() == [False, True]
    assert reason_of(found, 1, 100, 10) == f"damaged text: holds {damage}"


@pytest.mark.parametrize(
    "text", ["São Paulo", "SÃO", "voilà", "你好", "50 °C", "“don’t…”", "naïve"]
)
def test_what_is_only_foreign_is_not_damaged(text: str) -> None:
    assert not is_faulty(facts_of(table((GOOD[0], ("assistant", text))), "chat"), 100, 10).any()


def test_a_reason_names_everything() -> None:
    found = facts_of(table([("user", "x" * 30), ("assistant", "")] * 2), "chat")
    assert reason_of(found, 0, 20, 3) == (
        "turn too long: 30 characters, at most 20; too many turns: 4, at most 3; "
        "empty turn: no text or no role"
    )
    assert reason_of(facts_of(table(GOOD), "chat"), 0, 20, 3) == ""


def test_nothing_is_no_dialogue() -> None:
    assert all(not len(values) for values in facts_of(table(), "chat").values())


@given(st.lists(st.lists(st.sampled_from("sua"), min_size=1, max_size=6), min_size=1, max_size=5))
def test_every_dialogue_is_seen_as_if_it_were_alone(dialogues: list[list[str]]) -> None:
    names = {"s": "system", "u": "user", "a": "assistant"}
    made = [[(names[role], f"{i} {role}") for i, role in enumerate(d)] for d in dialogues]
    together = facts_of(table(*made), "chat")
    for index, turns in enumerate(made):
        alone = facts_of(table(turns), "chat")
        assert {name: values[index] for name, values in together.items()} == {
            name: values[0] for name, values in alone.items()
        }


def test_a_dialogue_begins_where_the_id_changes() -> None:
    ids = pa.array(["a", "a", "b", "a", None, "c"])
    assert starts_of(ids).tolist() == [0, 2, 3, 4, 5]
    assert starts_of(pa.array([], pa.string())).dtype == np.int64
