"""Rows of a table, whatever it is kept in: JSON lines, a JSON array, CSV or parquet, by content."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from typing import IO, Any

from dialogue.records import Reject
from dialogue.sources.draft import set_aside
from dialogue.sources.formats.fields import check_columns
from dialogue.sources.formats.json_stream import json_items
from dialogue.sources.formats.lines import BYTE_ORDER_MARK, beginning, numbered_lines
from dialogue.sources.formats.parquet import MAGIC as PARQUET_MAGIC
from dialogue.sources.formats.parquet import parquet_rows
from dialogue.sources.reading import Reading
from dialogue.sources.unpacking import DamagedError

Row = dict[str, Any]
_EXCERPT_ITEMS = 8


def object_rows(
    name: str, stream: IO[bytes], reading: Reading
) -> Iterator[tuple[str, Row | Reject]]:
    """(origin, object) of JSON lines, of a JSON array, or of the rows of a parquet file.

    Origins are `name:line`, or `name#row` in parquet, from 1.

    Raises:
        ValueError: an array or a parquet file is damaged.
    """
    head = beginning(stream)
    if head.startswith(PARQUET_MAGIC):
        yield from parquet_rows(name, stream, reading, None)
    elif head.startswith(b"["):
        for line, _, value in json_items(name, stream, reading.max_row_bytes):
            origin = f"{name}:{line}"
            yield origin, value if isinstance(value, dict) else _no_object(origin, value)
    else:
        yield from _line_objects(name, stream, reading)


def table_rows(
    name: str, stream: IO[bytes], reading: Reading, columns: Collection[str]
) -> Iterator[tuple[str, Row | Reject]]:
    """(origin, row) of a table that has the `columns`: as `object_rows`, or CSV with a header.

    Raises:
        ValueError: the table is damaged as a whole, or lacks a column.
    """
    head = beginning(stream)
    if head.startswith(PARQUET_MAGIC):
        yield from parquet_rows(name, stream, reading, columns)
    elif head.startswith((b"{", b"[")):
        yield from object_rows(name, stream, reading)
    else:
        yield from _csv_rows(name, stream, reading, columns)


def excerpt_of(row: Row) -> str:
    """A row as text, for what is set aside."""
    some = {
        key: value[:_EXCERPT_ITEMS] if isinstance(value, list) else value
        for key, value in row.items()
    }
    return json.dumps(some, ensure_ascii=False, default=str)


def _line_objects(
    name: str, stream: IO[bytes], reading: Reading
) -> Iterator[tuple[str, Row | Reject]]:
    for origin, line in numbered_lines(name, stream, reading.max_row_bytes):
        if isinstance(line, Reject):
            yield origin, line
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            reason = f"not JSON: {error.msg} at character {error.pos + 1}"
            yield origin, set_aside(origin, reason, line)
        except RecursionError:
            yield origin, set_aside(origin, "not JSON: nested too deeply", line)
        except ValueError as error:
            yield origin, set_aside(origin, f"not JSON: {error}", line)
        else:
            yield origin, row if isinstance(row, dict) else _no_object(origin, row)


def _no_object(origin: str, value: object) -> Reject:
    kind = type(value).__name__
    return set_aside(origin, f"not an object: {kind}", excerpt_of({"value": value}))


def _csv_rows(
    name: str, stream: IO[bytes], reading: Reading, columns: Collection[str]
) -> Iterator[tuple[str, Row | Reject]]:
    lines = _Lines(name, stream, reading.max_row_bytes)
    header_line = next(lines, "")
    lines.rewind(header_line)
    # Our own bound is the stricter one; csv's is one for the whole process, so only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), reading.max_row_bytes))
    try:
        rows = csv.reader(lines, delimiter=_delimiter(header_line, columns), strict=True)
        header = [each.strip() for each in next(rows, [])]
        check_columns(name, header, reading, columns)
        while True:
            lines.begin()
            if (cells := next(rows, None)) is None:
                return
            origin = f"{name}:{lines.first}"
            if len(cells) == len(header):
                yield origin, dict(zip(header, cells, strict=True))
            elif cells:
                reason = f"wrong number of columns: {len(cells)}, the header has {len(header)}"
                yield origin, set_aside(origin, reason, ",".join(cells))
    except csv.Error as error:
        raise ValueError(
            f"{name}:{lines.first}: not CSV: {error}; is a quote left open?"
        ) from error


def _delimiter(header: str, columns: Collection[str]) -> str:
    """A comma, unless the header has the columns only between tabs or semicolons."""
    for delimiter in (",", "\t", ";"):
        found = {each.strip().strip('"') for each in header.split(delimiter)}
        if set(columns) <= found:
            return delimiter
    return ","


class _Lines:
    """Decoded lines for csv, with the number of the line that the current row begins on."""

    def __init__(self, name: str, stream: IO[bytes], max_bytes: int) -> None:
        self._name = name
        self._stream = stream
        self._max_bytes = max_bytes
        self._number = 0
        self._num_bytes = 0
        self._again: str | None = None
        self.first = 1

    def begin(self) -> None:
        """A new row begins with the next line."""
        self.first = self._number + 1
        self._num_bytes = 0

    def rewind(self, line: str) -> None:
        """Give the line again."""
        self._again = line

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._again is not None:
            line, self._again = self._again, None
            return line
        self._number += 1
        try:
            raw = self._stream.readline(self._max_bytes + 1)
        except DamagedError as error:
            raise ValueError(f"{self._name}:{self._number}: {error}") from error
        if not raw:
            raise StopIteration
        self._num_bytes += len(raw)
        if self._num_bytes > self._max_bytes:
            # Where the next row begins is unknown: a quote may have been left open.
            raise ValueError(
                f"{self._name}:{self.first}: too large: more than {self._max_bytes} bytes in one "
                "row; is a quote left open?"
            )
        content = raw.removeprefix(BYTE_ORDER_MARK) if self._number == 1 else raw
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self._name}:{self._number}: not UTF-8; save the file as UTF-8"
            ) from error
