from __future__ import annotations

import io
import json
from typing import Any

import pytest
import yaml

from dialogue.config import FileSource
from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.table import read_table
from dialogue.sources.reading import Reading

TURNS = {"dialogue": "conv", "role": "who", "text": "said"}


def rows_of(
    text: str, columns: dict[str, str], roles: dict[str, str] | None = None
) -> list[Draft | Reject]:
    reading = Reading("ingest.sources.x", 1_000, columns=columns, roles=roles)
    return list(read_table("f", io.BytesIO(text.encode()), reading))


def test_a_row_may_be_a_pair() -> None:
    columns = {"prompt": "q", "response": "a", "system": "s", "id": "n"}
    whole, empty = rows_of('n,q,a,s\n7,"hi, you",你好,be kind\n8,q,,\n', columns)
    assert isinstance(whole, Draft)
    assert whole.turns == [("system", "be kind"), ("user", "hi, you"), ("assistant", "你好")]
    assert (whole.origin, whole.given_id) == ("f:2", "7")
    assert isinstance(empty, Draft)
    (null,) = rows_of(json.dumps({"q": "x", "a": None}), {"prompt": "q", "response": "a"})
    assert isinstance(null, Reject)
    assert null.reason == "missing field: `a`"


def test_rows_may_be_turns_with_the_roles_of_any_trade() -> None:
    text = "conv,who,said\n1,客服,您好\n1,顾客,在吗\n1,客服,在\n2,human,a\n2,bot,b\n"
    one, two = rows_of(text, TURNS)
    assert isinstance(one, Draft)
    assert one.turns == [("assistant", "您好"), ("user", "在吗"), ("assistant", "在")]
    assert one.origin == "f:2"
    assert isinstance(two, Draft)
    text = "conv,who,said\n1,C,hi\n1,A,hello\n1,X,bye\n"
    (unknown,) = rows_of(text, TURNS, {"C": "user", "A": "assistant"})
    assert isinstance(unknown, Reject)
    assert (
        unknown.reason
        == "unknown role: 'X', expected one of C, A (in or after the dialogue of f:2)"
    )


def test_the_first_row_of_a_dialogue_may_have_a_system_text() -> None:
    columns = {**TURNS, "system": "s"}
    text = "conv,who,said,s\n1,user,a,be kind\n1,bot,b,\n1,user,c, be kind\n2,user,d,\n"
    one, two = rows_of(text, columns)
    assert isinstance(one, Draft)
    assert isinstance(two, Draft)
    assert one.turns == [("system", "be kind"), ("user", "a"), ("assistant", "b"), ("user", "c")]
    assert two.turns == [("user", "d")]
    (other,) = rows_of(text.replace("\n1,bot,b,", "\n1,bot,b,be rude"), columns)[:1]
    assert isinstance(other, Reject)
    assert other.reason.startswith("another system text than in the dialogue's first row")


def test_numbers_are_what_they_were_before_a_gap_made_floats_of_them() -> None:
    rows = [{"conv": key, "who": who, "said": 2.0} for key, who in ((1.0, 0.0), (1, 1), (2.5, 0))]
    lines = "\n".join(map(json.dumps, rows))
    one, two = rows_of(lines, TURNS, {"0": "user", "1": "assistant"})
    assert isinstance(one, Draft)
    assert one.turns == [("user", "2"), ("assistant", "2")]
    assert isinstance(two, Draft)
    (pair,) = rows_of('{"q": "a", "a": "b", "n": 7.0}', {"prompt": "q", "response": "a", "id": "n"})
    assert isinstance(pair, Draft)
    assert pair.given_id == "7"
    (blank,) = rows_of('{"conv": NaN, "who": "user", "said": "x"}', TURNS)
    assert isinstance(blank, Reject)
    assert blank.reason == "no dialogue: `conv` is blank"


def test_roles_may_be_numbers_to_yaml() -> None:
    options = yaml.safe_load("roles: {0: user, true: assistant}")
    source = FileSource(kind="file", path="f", format="table", licence="MIT", **options)
    assert source.roles == {"0": "user", "true": "assistant"}
    lines = [{"conv": 1, "who": who, "said": "x"} for who in (0, True)]
    (row,) = rows_of("\n".join(map(json.dumps, lines)), TURNS, dict(source.roles or {}))
    assert isinstance(row, Draft)


def test_a_dialogue_with_a_damaged_row_amidst_it_is_set_aside_whole() -> None:
    short, other = rows_of("conv,who,said\n1,user,a\n1,bot\n1,bot,b\n2,user,c\n", TURNS)
    assert isinstance(short, Reject)
    assert short.reason.startswith("wrong number of columns")
    assert short.origin == "f:3"
    assert isinstance(other, Draft)


def test_a_row_that_cannot_be_read_may_be_of_the_dialogue_before_it_or_after() -> None:
    """An unquoted comma in the first turn of a dialogue, or in the last one of another."""
    first, second = "1,user,hi\n1,bot,hello there\n", "2,bot,sure\n2,user,with what\n2,bot,it\n"
    third = "3,user,a\n3,bot,b\n"
    text = f"conv,who,said\n{first}2,user,well, I need help\n{second}{third}"
    before, after, whole = rows_of(text, TURNS)
    assert isinstance(before, Reject)
    assert before.origin == "f:4"
    assert before.reason.startswith("wrong number of columns")
    assert before.reason.endswith("(in or after the dialogue of f:2)")
    assert isinstance(after, Reject)
    assert after.origin == "f:5"
    assert after.reason == "perhaps without its beginning: f:4, before it, is set aside"
    assert isinstance(whole, Draft)
    assert whole.origin == "f:8"
    (opening, *others) = rows_of(f"conv,who,said\n,user,hey\n{first}", TURNS)
    assert isinstance(opening, Reject)
    assert opening.reason == "no dialogue: `conv` is blank"
    assert [type(other) for other in others] == [Reject]


def test_a_row_that_cannot_be_read_is_named_whatever_else_is_wrong_beside_it() -> None:
    text = "conv,who,said\n1,X,a\n1,bot\n1,bot,b\n1,user,c, d\n2,user,e\n2,Y,f\n3,user,g\n"
    *rejects, whole = rows_of(text, TURNS)
    assert [reject.origin for reject in rejects] == ["f:2", "f:3", "f:5", "f:6"]
    assert isinstance(whole, Draft)
    inside = "conv,who,said\n1,user,a\n1,bot\n1,bot,b\n2,user,c\n"
    assert [type(row) for row in rows_of(inside, TURNS)] == [Reject, Draft]


def test_a_dialogue_that_comes_again_is_told() -> None:
    with pytest.raises(ValueError, match=r"f:4: dialogue '1' goes on after another one.*`conv`"):
        rows_of("conv,who,said\n1,user,a\n2,user,b\n1,bot,c\n", TURNS)


def test_a_dialogue_that_does_not_end_is_not_held() -> None:
    rows = rows_of("conv,who,said\n" + "1,user,text text\n" * 500, TURNS)
    (row,) = rows
    assert isinstance(row, Reject)
    assert row.reason.startswith("too large: at most 1000 bytes")


@pytest.mark.parametrize(
    ("columns", "roles", "said"),
    [
        ({"prompt": "q"}, None, r"x.columns: \{prompt\} is no column map.*\{prompt: …, response"),
        ({**TURNS, "id": "who"}, None, "x.columns.id: `dialogue` is the id here; remove it"),
        ({**TURNS, "prompt": "q"}, None, "is no column map of this format"),
        ({"prompt": "q", "response": "r"}, None, "f:1: no column `q`, only conv, who, said"),
        (TURNS, {"A": "bot"}, "ingest.sources.x.roles.A: `bot` is no role"),
        ({"prompt": "q", "response": "r"}, {"A": "user"}, "x.roles: pairs have no role column"),
    ],
)
def test_a_wrong_map_is_told_with_its_place(columns: dict[str, str], roles: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rows_of("conv,who,said\n1,user,a\n", columns, roles)
