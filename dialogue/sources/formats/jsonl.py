"""OpenAI's `messages`, and documents in a `text` column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from dialogue.records import Reject
from dialogue.sources.draft import Draft, set_aside
from dialogue.sources.formats.fields import ROLES, field, given_id, objects, role_of
from dialogue.sources.formats.rows import excerpt_of, object_rows, table_rows
from dialogue.sources.reading import Reading, columns_of


def read_messages(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """`{"messages": [{"role": …, "content": …}, …]}` a row, perhaps with its `id`.

    A content may be a text, or a list of parts of which the texts are taken.
    """
    for origin, row in object_rows(name, stream, reading):
        if isinstance(row, Reject):
            yield row
            continue
        try:
            turns = [
                (role_of(field(message, "role", str), ROLES), _content(message))
                for message in objects(row, "messages")
            ]
            yield Draft(origin, turns, given_id=given_id(row, "id"))
        except ValueError as error:
            yield set_aside(origin, str(error), excerpt_of(row))


def read_text_column(name: str, stream: IO[bytes], reading: Reading) -> Iterator[str]:
    """A document a row, in the column `text` or the one that `columns: {text: …}` names.

    Raises:
        ValueError: a row has none.
    """
    column = columns_of(reading, [("text",)])["text"] if reading.columns else "text"
    for origin, row in table_rows(name, stream, reading, [column]):
        if isinstance(row, Reject):
            raise ValueError(f"{origin}: {row.reason}")
        try:
            text: str = field(row, column, str)
        except ValueError as error:
            raise ValueError(f"{origin}: {error}") from error
        yield text


def _content(message: dict[str, Any]) -> str:
    content = message.get("content")
    if not isinstance(content, list):
        return str(field(message, "content", str))
    texts = [part["text"] for part in content if isinstance(part, dict) and "text" in part]
    if len(texts) != len(content) or not all(isinstance(text, str) for text in texts):
        raise ValueError("not text only: `content` has parts without a text")
    return "\n".join(texts)
