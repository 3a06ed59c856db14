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

from dialogue.privacy import emails, keys, numbers

Spans = Iterator[tuple[int, int]]

# In the order in which they are searched: what an earlier kind took, a later one does not see.
_DETECTORS: dict[str, Callable[[str], Spans]] = {
    "key": keys.keys,
    "email": emails.emails,
    "iban": numbers.ibans,
    "card": numbers.cards,
    "ip": numbers.ips,
    "phone": numbers.phones,
    "name": keys.names,
}
KINDS: tuple[str, ...] = ("email", "phone", "card", "iban", "ip", "key", "name")
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
        self._kinds = _checked(kinds)
        self.counts: Counter[str] = Counter()

    def scrub(self, text: str) -> str:
        """The text with every finding replaced; everything else stays as it is."""
        pieces, end = [], 0
        for finding in find(text, self._kinds):
            self.counts[finding.kind] += 1
            pieces += [text[end : finding.start], f"[{finding.kind.upper()}]"]
            end = finding.end
        return "".join(pieces) + text[end:] if pieces else text


def find(text: str, kinds: Collection[str]) -> list[Finding]:
    """Personal data in a text, from left to right, without overlaps.

    Raises:
        ValueError: a kind is unknown.
    """
    wanted = _checked(kinds)
    found: list[Finding] = []
    start = 0
    for placeholder in _PLACEHOLDER.finditer(text):
        found += _search(text, start, placeholder.start(), wanted)
        start = placeholder.end()
    return sorted(found + _search(text, start, len(text), wanted))


def _search(text: str, start: int, end: int, kinds: tuple[str, ...]) -> list[Finding]:
    """Findings in a stretch, and then in what they leave of it, until nothing is left to find."""
    for kind in kinds:
        spans = list(_DETECTORS[kind](text[start:end]))
        if spans:
            found = [Finding(start + left, start + right, kind) for left, right in spans]
            for right in (*found, None):
                stop = end if right is None else right.start
                found += _search(text, start, stop, kinds)
                start = end if right is None else right.end
            return found
    return []


def _checked(kinds: Collection[str]) -> tuple[str, ...]:
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(
            f"personal data has no kind {unknown[0]!r}; use some of {', '.join(KINDS)}"
        )
    return tuple(kind for kind in _DETECTORS if kind in kinds)
