"""Replies that models wrote in an exam, kept for people to read side by side."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dialogue.scores import ModelRole

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
    """Write replies, page checksums on; no reply at all is fine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([reply._asdict() for reply in replies], schema=SCHEMA)
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def read_replies(path: Path) -> list[Reply]:
    """Read replies back in file order; every page's checksum is verified.

    Raises:
        ValueError: the file is missing, damaged or not in the replies' schema.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such replies file; run the stage that writes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: damaged replies: {error}; run its stage again") from error
    if table.schema.names != SCHEMA.names:
        raise ValueError(f"{path}: columns {table.schema.names}, expected {SCHEMA.names}")
    return [Reply(**row) for row in table.to_pylist()]
