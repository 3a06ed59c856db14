"""Synthetic-Persona-Chat: a CSV of two persona lists and a conversation of `User 1`, `User 2`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from dialogue.records import Reject
from dialogue.sources.draft import Draft, set_aside
from dialogue.sources.formats.rows import excerpt_of, table_rows
from dialogue.sources.formats.table import text_of
from dialogue.sources.reading import Reading

_PERSONAS = {"1": "user 1 personas", "2": "user 2 personas"}
_CONVERSATION = "Best Generated Conversation"
_SPEAKER = re.compile(r"[\s*]*(?:User|用户)\s*([12])\s*\**\s*[:：]\**\s*(.*)", re.IGNORECASE)


def read_synthetic_persona_chat(
    name: str, stream: IO[bytes], reading: Reading
) -> Iterator[Draft | Reject]:
    """Who speaks first is the user; the other's persona is the system turn and the persona.

    A line that names no speaker goes on with what the one before said. The file's columns are
    found by their names.

    Raises:
        ValueError: the file is no such CSV.
    """
    columns = [*_PERSONAS.values(), _CONVERSATION]
    for origin, row in table_rows(name, stream, reading, columns):
        if isinstance(row, Reject):
            yield row
            continue
        try:
            messages = _messages(text_of(row, _CONVERSATION))
            first = messages[0][0]
            persona = text_of(row, _PERSONAS["2" if first == "1" else "1"]).strip()
        except ValueError as error:
            yield set_aside(origin, str(error), str(row.get(_CONVERSATION) or excerpt_of(row)))
            continue
        turns = [("user" if who == first else "assistant", said) for who, said in messages]
        yield Draft(origin, [("system", persona), *turns], persona=persona or None)


def _messages(text: str) -> list[tuple[str, str]]:
    """(speaker, text) pairs."""
    messages: list[tuple[str, list[str]]] = []
    for line in text.strip().splitlines():
        if match := _SPEAKER.fullmatch(line):
            messages.append((match[1], [match[2]]))
        elif messages:
            messages[-1][1].append(line)
        elif line.strip():
            raise ValueError("no speaker: the conversation does not begin with `User 1:`")
    if not messages:
        raise ValueError("no speaker: the conversation is blank")
    return [(speaker, "\n".join(lines)) for speaker, lines in messages]
