from __future__ import annotations

import io
import json
from typing import Any

import pytest

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.jsonl import read_messages, read_sharegpt, read_text_column


def only(rows: Any) -> Draft | Reject:
    (row,) = rows
    assert isinstance(row, Draft | Reject)
    return row


def messages(row: object) -> Draft | Reject:
    return only(read_messages("f", io.BytesIO(json.dumps(row).encode())))


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


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "not an object: list"),
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


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"messages": ' + b"9" * 5_000 + b"}"])
def test_hostile_json_is_set_aside(line: bytes) -> None:
    assert isinstance(only(read_messages("f", io.BytesIO(line))), Reject)


def test_sharegpt() -> None:
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    line = json.dumps({"conversations": turns}).encode()
    row = only(read_sharegpt("f", io.BytesIO(line)))
    assert isinstance(row, Draft)
    assert row.turns == [("user", "hi"), ("assistant", "hello")]


def test_text_column_names_the_line_that_has_none() -> None:
    lines = io.BytesIO(b'{"text": "one"}\n{"txt": "two"}\n')
    with pytest.raises(ValueError, match="f:2: missing field: `text`"):
        list(read_text_column("f", lines))
