"""A response with what was said before it, and what of that is read."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_VIEW_BYTES = 2_048
_TURN_CHARACTERS = 1_000
_BEFORE_SIGN = re.compile(r" ([.,!?;:%])(?!\w)")
_BEFORE_ENDING = re.compile(r" ?(['’]) ?(s|t|m|re|ve|ll|d)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A response and the turns before it, oldest first; the speakers take turns."""

    context: tuple[str, ...]
    response: str


@dataclass(frozen=True, slots=True)
class View:
    """The latest turns of a context as they are read; the first of them is turn `first` of it."""

    first: int
    turns: tuple[str, ...]


def view(context: tuple[str, ...]) -> View:
    """The whole context up to 2 kB, of a longer one the last 1 to 2 kB, whole turns.

    Where it begins moves by 1 kB at a time, so that contexts of one conversation mostly begin
    alike and are read together.
    """
    turns = tuple(map(tidy, context))
    ends = np.cumsum([0, *(len(turn.encode()) for turn in turns)])
    if ends[-1] <= _VIEW_BYTES:
        return View(0, turns)
    half = _VIEW_BYTES // 2
    begin = (int(ends[-1]) - half) // half * half
    first = min(int(np.searchsorted(ends, begin)), len(turns) - 1)
    return View(first, turns[first:])


def tidy(text: str) -> str:
    """A turn on one line, its first 1,000 characters, without the spaces of tokenized corpora.

    DailyDialog writes "do n ’ t you ?"; a language model finds that less likely for no fault of
    the speaker's.
    """
    text = " ".join(text[:_TURN_CHARACTERS].split())
    return _BEFORE_ENDING.sub(r"\1\2", _BEFORE_SIGN.sub(r"\1", text))
