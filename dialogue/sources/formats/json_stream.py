"""A JSON array or object of any length, an item at a time, with the line each stands on."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from dialogue.sources.unpacking import DamagedError

_CHUNK = 1 << 16
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_TOKEN = 16
"""Characters: an error closer than this to where the text was cut may come from the cut."""


def json_items(
    name: str, stream: IO[bytes], max_bytes: int
) -> Iterator[tuple[int, str | None, Any]]:
    """(line, key, value) of every item of an array (no key) or object; lines count from 1.

    Holds one item at a time. Past a fault nobody can say where the next item begins, so a fault
    ends the file.

    Raises:
        ValueError: it is no JSON array or object, is cut off, not UTF-8, or an item is larger
            than `max_bytes`.
    """
    window = _Window(name, stream, max_bytes)
    if (opening := window.peek()) not in ("[", "{"):
        raise window.fault("not JSON: expected an array or object")
    closing = "]" if opening == "[" else "}"
    window.expect(opening)
    while window.peek() != closing:
        key = None
        if opening == "{":
            _, key = window.value()
            if not isinstance(key, str):
                raise window.fault("not JSON: expected a key")
            window.expect(":")
        line, value = window.value()
        yield line, key, value
        if window.peek() != closing:
            window.expect(",")
    window.expect(closing)
    if window.peek():
        raise window.fault("not JSON: something stands after its end")


class _Window:
    """The part of the text that is being looked at, moved along the stream."""

    def __init__(self, name: str, stream: IO[bytes], max_bytes: int) -> None:
        self._name = name
        self._stream = stream
        self._max_bytes = max_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._line = 1
        self._counted = 0
        self._has_ended = False

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match is not None, "it matches nothing, too"
            self._at = match.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if self._has_ended:
                return ""
            self._read(_CHUNK)

    def expect(self, character: str) -> None:
        """Go past a character."""
        if (found := self.peek()) != character:
            what = f"found `{found}`" if found else "the file ends"
            raise self.fault(f"not JSON: expected `{character}`, {what}; is the file whole?")
        self._at += 1

    def value(self) -> tuple[int, Any]:
        """The next value and its line; what is cut by the window's edge is read on."""
        self.peek()
        line = self.line()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._has_ended or not self._may_be_cut(error):
                    raise self.fault(f"not JSON: {error.msg}; is the file whole?") from error
            except RecursionError as error:
                raise self.fault("not JSON: nested too deeply") from error
            except ValueError as error:
                raise self.fault(f"not JSON: {error}") from error
            else:
                # A number goes on as long as there are digits.
                if end < len(self._text) or self._has_ended:
                    self._at = end
                    return line, value
            length = len(self._text) - self._at
            if length > self._max_bytes:
                raise self.fault(f"too large: more than {self._max_bytes} bytes in one row")
            self._read(max(_CHUNK, length))

    def line(self) -> int:
        """The line that the window stands on."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def fault(self, reason: str) -> ValueError:
        """What is wrong here, with the file and line."""
        return ValueError(f"{self._name}:{self.line()}: {reason}")

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated") or error.pos > len(self._text) - _TOKEN

    def _read(self, num_bytes: int) -> None:
        """Let go of what was read, and read on."""
        self.line()
        rest = self._text[self._at :]
        try:
            chunk = self._stream.read(num_bytes)
            self._has_ended = not chunk
            self._text = rest + self._decoder.decode(chunk, final=not chunk)
        except DamagedError as error:
            raise self.fault(str(error)) from error
        except UnicodeDecodeError as error:
            raise self.fault("not UTF-8 here or soon after; save the file as UTF-8") from error
        self._at = self._counted = 0
