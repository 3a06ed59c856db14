"""Replies that models wrote in an exam, kept for people to read side by side."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from dialogue.scores import ModelRole
from dialogue.tables import read_table, write_table

SCHEMA = pa.schema(
    [
        pa.field("model_role", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("dialogue_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)


class Reply(NamedTuple):
    """What a model said as the last response of a dialogue of the exam."""

    model_role: ModelRole
    domain: str
    dialogue_id: str
    text: str


def write_replies(path: Path, replies: Iterable[Reply]) -> None:
    """Write replies; no reply at all is fine."""
    write_table(path, SCHEMA, [reply._asdict() for reply in replies])


def read_replies(path: Path) -> list[Reply]:
    """Read replies back in file order.

    Raises:
        ValueError: the file is missing, damaged or not in the replies' schema.
    """
    return [Reply(**row) for row in read_table(path, SCHEMA, "replies")]
