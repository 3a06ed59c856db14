"""A text in plain spelling, character by character, so that one pattern sees all its spellings."""

from __future__ import annotations

import unicodedata
from functools import cache

_HYPHENS = "‐‑‒–—―−－"
_SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000"
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


def plain(text: str) -> tuple[str, list[int] | None]:
    """The text in plain spelling, and where each character of it stood; None: where it stands.

    One character becomes one character or, where it is invisible, none: so the spelling of a
    text is that of its pieces, one after the other.
    """
    if text.isascii():
        return text, None
    spelled = text.translate(_spellings())
    if len(spelled) == len(text):
        return spelled, None
    return spelled, [i for i, character in enumerate(text) if character not in _INVISIBLE]


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
