from __future__ import annotations

import io
import json
from typing import Any

import pytest

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.jsonl import read_messages, read_text_column
from dialogue.sources.formats.sharegpt import read_sharegpt
from dialogue.sources.reading import Reading

READING = Reading("ingest.sources.x", max_row_bytes=1 << 20)


def only(rows: Any) -> Draft | Reject:
    (row,) = rows
    assert isinstance(row, Draft | Reject)
    return row


def messages(row: object) -> Draft | Reject:
    return only(read_messages("f", io.BytesIO(json.dumps(row).encode()), READING))


def test_openai_roles_and_parts() -> None:
    row = messages(
        {
            "messages": [
                {"role": "developer", "content": "be kind"},
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]},
                {"role": "assistant", "content": "c"},
            ],
            "id": 7,
        }
    )
    assert isinstance(row, Draft)
    assert row.turns == [("system", "be kind"), ("user", "a\nb"), ("assistant", "c")]
    assert row.origin == "f:1"


def test_every_format_knows_the_same_speakers() -> None:
    said = [{"role": role, "content": role} for role in ("系统", "用户", "客服")]
    row = messages({"messages": said})
    assert isinstance(row, Draft)
    assert [role for role, _ in row.turns] == ["system", "user", "assistant"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (3, "not an object: int"),
        ({}, "missing field: `messages`"),
        ({"messages": "hi"}, "wrong type: `messages` is str, expected list"),
        ({"messages": ["hi"]}, "wrong type: `messages` holds str"),
        ({"messages": [{"content": "hi"}]}, "missing field: `role`"),
        ({"messages": [{"role": "user"}]}, "missing field: `content`"),
        ({"messages": [{"role": "user", "content": 3}]}, "wrong type: `content` is int"),
        ({"messages": [{"role": "tool", "content": "3"}]}, "unknown role: 'tool'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "not text only: `content`",
        ),
    ],
)
def test_what_is_no_message_list_is_set_aside(row: object, reason: str) -> None:
    found = messages(row)
    assert isinstance(found, Reject)
    assert found.reason.startswith(reason)
    assert found.excerpt


@pytest.mark.parametrize(
    "line", [b'{"messages": ' + b"[" * 100_000, b'{"messages": ' + b"9" * 5_000 + b"}"]
)
def test_hostile_json_is_set_aside(line: bytes) -> None:
    assert isinstance(only(read_messages("f", io.BytesIO(line), READING)), Reject)


def test_sharegpt() -> None:
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    line = json.dumps({"conversations": turns}).encode()
    row = only(read_sharegpt("f", io.BytesIO(line), READING))
    assert isinstance(row, Draft)
    assert row.turns == [("user", "hi"), ("assistant", "hello")]


def test_text_column_names_the_line_that_has_none() -> None:
    lines = io.BytesIO(b'{"text": "one"}\n{"txt": "two"}\n')
    with pytest.raises(ValueError, match="f:2: missing field: `text`"):
        list(read_text_column("f", lines, READING))


def test_sharegpt_may_be_one_array() -> None:
    turns = [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "您好"}]
    array = json.dumps([{"id": "a_0", "conversations": turns}, {"conversations": 3}], indent=1)
    row, wrong = read_sharegpt("f", io.BytesIO(array.encode()), READING)
    assert isinstance(row, Draft)
    assert (row.origin, row.given_id) == ("f:2", "a_0")
    assert row.turns == [("user", "你好"), ("assistant", "您好")]
    assert isinstance(wrong, Reject)
    assert wrong.reason == "wrong type: `conversations` is int, expected list"


def test_the_text_column_may_be_named_and_stand_in_any_table() -> None:
    named = Reading("x", 1 << 20, columns={"text": "body"})
    assert list(read_text_column("f", io.BytesIO(b"id,body\n1,one\n2,two\n"), named)) == [
        "one",
        "two",
    ]
