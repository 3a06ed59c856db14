"""Lines of UTF-8 text with their numbers; a damaged line is set aside, the others are read."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO, Any, cast

from dialogue.records import Reject
from dialogue.sources.draft import set_aside
from dialogue.sources.unpacking import DamagedError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_WHOLE_BYTES = 256 << 20


def numbered_lines(
    name: str, stream: IO[bytes], max_bytes: int
) -> Iterator[tuple[str, str | Reject]]:
    """(origin, line) for every line that is not blank; origin is `name:line`, from 1.

    A line of more than `max_bytes` is set aside without being held in memory.

    Raises:
        ValueError: the file is packed, and damaged from this line on.
    """
    number = 0
    while True:
        number += 1
        try:
            raw = stream.readline(max_bytes + 1)
            is_cut = len(raw) > max_bytes and not raw.endswith(b"\n")
            if is_cut:
                _skip_line(stream)
        except DamagedError as error:
            raise ValueError(f"{name}:{number}: {error}") from error
        if not raw:
            return
        content = raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw
        if not content.strip():
            continue
        origin = f"{name}:{number}"
        if is_cut:
            yield origin, too_large(origin, max_bytes, content)
            continue
        try:
            yield origin, content.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            # No excerpt: what cannot be read cannot be searched for personal data.
            yield origin, set_aside(origin, f"not UTF-8: byte {error.start + 1} of the line", "")


def too_large(origin: str, max_bytes: int, content: bytes | str) -> Reject:
    """A row set aside because it is larger than a row may be."""
    reason = f"too large: more than {max_bytes} bytes in one row"
    if isinstance(content, bytes):
        try:
            # Up to the last character that is whole.
            content = codecs.getincrementaldecoder("utf-8")().decode(content[:20_000])
        except UnicodeDecodeError:
            content = ""
    return set_aside(origin, reason, content, is_whole=False)


def whole_text(name: str, stream: IO[bytes]) -> str:
    """The whole file as text.

    Raises:
        ValueError: it is not UTF-8 (the line is named), or too large to be held in memory.
    """
    raw = stream.read(_MAX_WHOLE_BYTES + 1)
    if len(raw) > _MAX_WHOLE_BYTES:
        raise ValueError(f"{name}: more than {_MAX_WHOLE_BYTES} bytes in one file; split it")
    raw = raw.removeprefix(BYTE_ORDER_MARK)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name}:{line}: not UTF-8; save the file as UTF-8") from error


def beginning(stream: IO[bytes]) -> bytes:
    """What the stream begins with, without a byte order mark and white space; nothing is consumed.

    Empty where the first few thousand bytes are blank.
    """
    if hasattr(stream, "peek"):
        head = cast(bytes, cast(Any, stream).peek(4_096))
    else:
        head = stream.read(4_096)
        stream.seek(0)
    return head.removeprefix(BYTE_ORDER_MARK).lstrip()


def _skip_line(stream: IO[bytes]) -> None:
    while rest := stream.readline(1 << 16):
        if rest.endswith(b"\n"):
            return
