"""Personal data in texts: what is found, and how typed placeholders take its place.

    scrubber = Scrubber(("email", "phone"))
    scrubber.scrub("write to ann@example.org")  # "write to [EMAIL]"

A placeholder is never looked into again, and what stands left and right of it is searched as if it
were alone; so scrubbing twice gives what scrubbing once gave, whatever the patterns are.
docs/privacy.md says what is seen, what is not, and how often.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from dialogue.privacy.accounts import cards, ibans
from dialogue.privacy.addresses import ips
from dialogue.privacy.emails import emails
from dialogue.privacy.keys import keys
from dialogue.privacy.names import names
from dialogue.privacy.phones import phones
from dialogue.privacy.plain import plain
from dialogue.privacy.suspicion import suspicious

Spans = Iterator[tuple[int, int]]

# In the order in which they are searched: what an earlier kind took, a later one does not see.
_DETECTORS: dict[str, Callable[[str], Spans]] = {
    "key": keys,
    "email": emails,
    "iban": ibans,
    "card": cards,
    "ip": ips,
    "phone": phones,
    "name": names,
}
KINDS: tuple[str, ...] = ("email", "phone", "card", "iban", "ip", "key", "name")
STRUCTURED: tuple[str, ...] = tuple(kind for kind in KINDS if kind != "name")
"""Kinds whose form says what they are; a name has none."""
# What people write takes two, seldom three.
_EXACT_ROUNDS = 16
_PLACEHOLDER = re.compile("|".join(rf"\[{kind.upper()}\]" for kind in KINDS))


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Where personal data of a kind stands in a text: characters [start, end)."""

    start: int
    end: int
    kind: str


class Scrubber:
    """Replaces personal data by `[EMAIL]`, `[PHONE]`, …, and counts what it replaced."""

    def __init__(self, kinds: Collection[str]) -> None:
        """Replace these kinds.

        Raises:
            ValueError: a kind is unknown.
        """
        self._kinds = _ordered(kinds)
        self.counts: Counter[str] = Counter()

    def scrub(self, text: str) -> str:
        """The text with every finding replaced; everything else stays as it is."""
        found = _find(text, self._kinds)
        if not found:
            return text
        pieces, end = [], 0
        for finding in found:
            self.counts[finding.kind] += 1
            pieces += [text[end : finding.start], f"[{finding.kind.upper()}]"]
            end = finding.end
        return "".join(pieces) + text[end:]


def find(text: str, kinds: Collection[str]) -> list[Finding]:
    """Personal data in a text, from left to right, without overlaps.

    Raises:
        ValueError: a kind is unknown.
    """
    return _find(text, _ordered(kinds))


def _ordered(kinds: Collection[str]) -> tuple[str, ...]:
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(
            f"personal data has no kind {unknown[0]!r}; use some of {', '.join(KINDS)}"
        )
    return tuple(kind for kind in _DETECTORS if kind in kinds)


def _find(text: str, kinds: tuple[str, ...]) -> list[Finding]:
    if not suspicious(text) and "name" not in kinds:
        return []
    spelled, places = plain(text)
    found: list[Finding] = []
    start = 0
    for placeholder in _PLACEHOLDER.finditer(spelled):
        found += _search(spelled, start, placeholder.start(), kinds)
        start = placeholder.end()
    found += _search(spelled, start, len(spelled), kinds)
    if places is None:
        return found
    starts, ends = places
    return [Finding(starts[f.start], ends[f.end - 1], f.kind) for f in found]


def _search(text: str, start: int, end: int, kinds: tuple[str, ...]) -> list[Finding]:
    """Findings in a stretch, and then in what they leave of it, until nothing is left to find.

    A round takes time in proportion to the stretch. Hostile texts could make as many rounds as they
    have findings, so past some rounds each finding takes more of what stands around it.
    """
    found: list[Finding] = []
    stretches = [(start, end)]
    num_rounds = 0
    while stretches:
        margin = 1 << num_rounds - _EXACT_ROUNDS if num_rounds >= _EXACT_ROUNDS else 0
        left_over = []
        for first, last in stretches:
            kind, spans = _first_found(text[first:last], kinds)
            done = first
            for left, right in spans:
                begin = max(done, first + left - margin)
                stop = min(last, first + right + margin)
                if begin < stop:
                    left_over.append((done, begin))
                    found.append(Finding(begin, stop, kind))
                    done = stop
            if spans:
                left_over.append((done, last))
        stretches = [(first, last) for first, last in left_over if first < last]
        num_rounds += 1
    return sorted(found)


def _first_found(text: str, kinds: tuple[str, ...]) -> tuple[str, list[tuple[int, int]]]:
    """The first kind that a text holds, and where."""
    for kind in kinds:
        spans = list(_DETECTORS[kind](text))
        if spans:
            return kind, spans
    return "", []
