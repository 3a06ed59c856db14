"""Plain text: the whole file is one document, or several where it is larger than a row may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from dialogue.sources.formats.lines import BYTE_ORDER_MARK
from dialogue.sources.reading import Reading
from dialogue.sources.unpacking import DamagedError


def read_plain(name: str, stream: IO[bytes], reading: Reading) -> Iterator[str]:
    """The file's text, cut at the ends of lines into documents of `max_row_bytes` at most.

    Raises:
        ValueError: it is not UTF-8, or a single line is larger than that; the line is named.
    """
    lines: list[str] = []
    num_bytes = 0
    for number, raw in enumerate(_lines(name, stream, reading.max_row_bytes), start=1):
        if num_bytes + len(raw) > reading.max_row_bytes:
            yield "".join(lines)
            lines, num_bytes = [], 0
        try:
            lines.append(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}:{number}: not UTF-8; save the file as UTF-8") from error
        num_bytes += len(raw)
    if lines:
        yield "".join(lines)


def _lines(name: str, stream: IO[bytes], max_bytes: int) -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        try:
            raw = stream.readline(max_bytes + 1)
        except DamagedError as error:
            raise ValueError(f"{name}:{number}: {error}") from error
        if not raw:
            return
        if len(raw) > max_bytes:
            raise ValueError(f"{name}:{number}: too large: more than {max_bytes} bytes in one line")
        yield raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw
