"""JSON lines: OpenAI `messages`, ShareGPT `conversations`, and a `text` column."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import IO, Any

from dialogue.records import Reject, reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.lines import numbered_lines

_OPENAI_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bard": "assistant",
    "assistant": "assistant",
}

_Pairs = list[tuple[str, str]]


def read_messages(name: str, stream: IO[bytes]) -> Iterator[Draft | Reject]:
    """`{"messages": [{"role": …, "content": …}, …]}` on every line.

    A content may be a text, or a list of parts of which the texts are taken.
    """
    return _drafts(name, stream, _openai_pairs)


def read_sharegpt(name: str, stream: IO[bytes]) -> Iterator[Draft | Reject]:
    """`{"conversations": [{"from": …, "value": …}, …]}` on every line."""
    return _drafts(name, stream, _sharegpt_pairs)


def read_text_column(name: str, stream: IO[bytes]) -> Iterator[str]:
    """`{"text": …}` on every line, a document each.

    Raises:
        ValueError: a line is no such object.
    """
    for origin, line in numbered_lines(name, stream):
        if isinstance(line, Reject):
            raise ValueError(f"{origin}: {line.reason}")
        try:
            text = _field(_json_object(line), "text", str)
        except ValueError as error:
            raise ValueError(f"{origin}: {error}") from error
        yield text


def _drafts(
    name: str, stream: IO[bytes], pairs: Callable[[dict[str, Any]], _Pairs]
) -> Iterator[Draft | Reject]:
    for origin, line in numbered_lines(name, stream):
        if isinstance(line, Reject):
            yield line
            continue
        try:
            yield Draft(origin, pairs(_json_object(line)))
        except ValueError as error:
            yield reject(origin, str(error), line)


def _json_object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("not JSON: nested too deeply") from error
    if not isinstance(row, dict):
        raise ValueError(f"not an object: {type(row).__name__}")
    return row


def _openai_pairs(row: dict[str, Any]) -> _Pairs:
    return [
        (_role(_field(message, "role", str), _OPENAI_ROLES), _content(message))
        for message in _objects(row, "messages")
    ]


def _sharegpt_pairs(row: dict[str, Any]) -> _Pairs:
    return [
        (_role(_field(message, "from", str), _SHAREGPT_ROLES), _field(message, "value", str))
        for message in _objects(row, "conversations")
    ]


def _objects(row: dict[str, Any], field: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = _field(row, field, list)
    for item in items:
        if not isinstance(item, dict):
            raise ValueError(f"wrong type: `{field}` holds {type(item).__name__}, expected objects")
    return items


def _content(message: dict[str, Any]) -> str:
    content = message.get("content")
    if not isinstance(content, list):
        return str(_field(message, "content", str))
    texts = [part["text"] for part in content if isinstance(part, dict) and "text" in part]
    if len(texts) != len(content) or not all(isinstance(text, str) for text in texts):
        raise ValueError("not text only: `content` has parts without a text")
    return "\n".join(texts)


def _role(name: str, roles: dict[str, str]) -> str:
    if name not in roles:
        raise ValueError(f"unknown role: {name!r}, expected one of {', '.join(roles)}")
    return roles[name]


def _field(row: dict[str, Any], field: str, kind: type) -> Any:
    if field not in row:
        raise ValueError(f"missing field: `{field}`")
    value = row[field]
    if not isinstance(value, kind):
        raise ValueError(
            f"wrong type: `{field}` is {type(value).__name__}, expected {kind.__name__}"
        )
    return value
