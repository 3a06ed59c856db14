"""A text in plain spelling, character by character, so that one pattern sees all its spellings."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_HYPHENS = "‐‑‒–—―−－"
_SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000"
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\\/\"nrt]))")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}

Places = tuple[list[int], list[int]]
"""Where each character of a spelling begins and ends in the text."""


def plain(text: str) -> tuple[str, Places | None]:
    """The text in plain spelling, and where its characters stood; None: where they stand.

    One character, or one that JSON escapes (a row that is set aside may be raw JSON), becomes one
    character or, where it is invisible, none: so the spelling of a text is that of its pieces,
    one after the other.
    """
    if "\\" in text:
        return _unescaped(text)
    if text.isascii() or _respelled().search(text) is None:
        return text, None
    spelled = text.translate(_spellings())
    if len(spelled) == len(text):
        return spelled, None
    starts = [place for place, character in enumerate(text) if character not in _INVISIBLE]
    return spelled, (starts, [start + 1 for start in starts])


def _unescaped(text: str) -> tuple[str, Places]:
    characters, starts, ends = [], [], []
    place = 0
    while place < len(text):
        escape = _ESCAPE.match(text, place) if text[place] == "\\" else None
        end = escape.end() if escape else place + 1
        character = _character(escape) if escape else text[place]
        if character not in _INVISIBLE:
            characters.append(character)
            starts.append(place)
            ends.append(end)
        place = end
    return "".join(characters).translate(_spellings()), (starts, ends)


def _character(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    return _ESCAPED.get(escape[2], escape[2])


@cache
def _spellings() -> dict[int, str | None]:
    """Wide forms, digits of other scripts, typographic hyphens and spaces as in ASCII."""
    table: dict[int, str | None] = {0xFF01 + i: chr(0x21 + i) for i in range(0x5E)}
    for code in range(0x80, 0x20000):
        if unicodedata.category(chr(code)) == "Nd":
            table[code] = str(unicodedata.digit(chr(code)))
    table |= dict.fromkeys(map(ord, _HYPHENS), "-")
    table |= dict.fromkeys(map(ord, _SPACES), " ")
    table |= dict.fromkeys(map(ord, _INVISIBLE))
    return table


@cache
def _respelled() -> re.Pattern[str]:
    """Characters that are, or may be, spelled otherwise: to search costs less than to translate."""
    # Past the first plane one range stands for all digits: a class of single characters is slow.
    plane = "".join(re.escape(chr(code)) for code in _spellings() if code < 0x10000)
    return re.compile(f"[{plane}\U00010000-\U0001ffff]")
