"""Labelled texts of a table: classification, sentiment, intent, or named entities as spans."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from dialogue.records import Reject
from dialogue.sources.draft import Draft, set_aside
from dialogue.sources.formats.fields import given_id
from dialogue.sources.formats.rows import Row, excerpt_of, table_rows
from dialogue.sources.formats.table import text_of
from dialogue.sources.labelled import entities_label, labelled_draft
from dialogue.sources.reading import Reading, columns_of, shown

_WHOLE = re.compile(r"^(-?[0-9]+)\.0+$")


def read_labelled(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """A row's `text` with the question, and its `label`; or its `entities`.

    A label is a text, a number, a truth value, or a list of these. Entities are a list of
    `[start, end, kind]` or `{"start", "end", "label"}`, in characters of the text, end excluded;
    in CSV, the list is written as JSON.

    Raises:
        ValueError: `columns` is none, a column is missing, or the table is damaged.
    """
    columns = columns_of(reading, (("text", "label"), ("text", "entities")), ("id",))
    for origin, row in table_rows(name, stream, reading, list(columns.values())):
        if isinstance(row, Reject):
            yield row
            continue
        try:
            text = text_of(row, columns["text"])
            if "label" in columns:
                label = _label(row, columns["label"], reading)
            else:
                label = entities_label(_entities(row, columns["entities"], text), reading)
            identity = given_id(row, columns["id"]) if "id" in columns else None
            yield labelled_draft(origin, text, label, reading, given_id=identity)
        except ValueError as error:
            yield set_aside(origin, str(error), excerpt_of(row))


def _label(row: Row, column: str, reading: Reading) -> str:
    value = row.get(column)
    if isinstance(value, list):
        return ", ".join(_named(each, column, reading) for each in value)
    return _named(value, column, reading)


def _named(value: Any, column: str, reading: Reading) -> str:
    if isinstance(value, bool):
        value = str(value).lower()
    text = text_of({column: value}, column).strip()
    if reading.labels is not None and text not in reading.labels:
        # Numbers of a column with gaps are often written as floats.
        text = _WHOLE.sub(r"\1", text)
    return reading.label(text)


def _entities(row: Row, column: str, text: str) -> list[tuple[str, str]]:
    """(kind, words) in the order of the text."""
    value = row.get(column)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"wrong type: `{column}` is not JSON: {shown(value)}") from error
    if not isinstance(value, list):
        raise ValueError(f"wrong type: `{column}` is {type(value).__name__}, expected a list")
    spans = sorted(_span(each, column, len(text)) for each in value)
    return [(kind, text[start:end]) for start, end, kind in spans]


def _span(value: Any, column: str, length: int) -> tuple[int, int, str]:
    if isinstance(value, dict):
        value = [value.get("start"), value.get("end"), value.get("label")]
    if not (isinstance(value, list) and len(value) == 3):
        raise ValueError(
            f"wrong type: `{column}` holds {shown(value)}, expected [start, end, kind]"
        )
    start, end, kind = value
    if not (isinstance(start, int) and isinstance(end, int) and isinstance(kind, str)):
        raise ValueError(
            f"wrong type: `{column}` holds {shown(value)}, expected [start, end, kind]"
        )
    if not 0 <= start < end <= length:
        raise ValueError(f"wrong span: {start} to {end} of a text of {length} characters")
    return start, end, kind
