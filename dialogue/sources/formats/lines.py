"""Lines of UTF-8 text with their numbers; a damaged line is set aside, the others are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from dialogue.records import Reject, reject

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def numbered_lines(name: str, stream: IO[bytes]) -> Iterator[tuple[str, str | Reject]]:
    """(origin, line) for every line that is not blank; origin is `name:line`, from 1."""
    for number, raw in enumerate(stream, start=1):
        origin = f"{name}:{number}"
        content = raw.removeprefix(_BYTE_ORDER_MARK) if number == 1 else raw
        if not content.strip():
            continue
        try:
            yield origin, content.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            reason = f"not UTF-8: byte {error.start + 1} of the line"
            yield origin, reject(origin, reason, content.decode("utf-8", "replace"))


def whole_text(name: str, stream: IO[bytes]) -> str:
    """The whole file as text.

    Raises:
        ValueError: it is not UTF-8; the line is named.
    """
    raw = stream.read().removeprefix(_BYTE_ORDER_MARK)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name}:{line}: not UTF-8; save the file as UTF-8") from error
