"""500 made-up personal items in sentences, and 1,300 sentences that hold none, by a fixed seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from dialogue.privacy import find
from tests.dialogue.privacy_corpus.clean import DRAWN, ORDINARY
from tests.dialogue.privacy_corpus.items import MAKERS, Made, bare_phone, person

SEED = 20261124
NUM_ITEMS = {"email": 110, "phone": 140, "card": 55, "iban": 55, "ip": 60, "key": 80}
NUM_CLEAN = 1300


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence and the one item in it: characters [start, end), of this kind and form."""

    text: str
    kind: str
    form: str
    start: int
    end: int

    @property
    def item(self) -> str:
        return self.text[self.start : self.end]


@dataclass(slots=True)
class Score:
    """Counts by kind: items, items found whole, findings within their item, and other findings."""

    items: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: list[Example] = field(default_factory=list)


def personal(seed: int = SEED) -> list[Example]:
    """500 sentences with one structured item each."""
    draw = random.Random(seed)
    return [
        _placed(kind, MAKERS[kind](draw))
        for kind, number in NUM_ITEMS.items()
        for _ in range(number)
    ]


def bare_phones(seed: int = SEED, number: int = 100) -> list[Example]:
    """National phone numbers of many countries where no word says what they are."""
    return _many("phone", bare_phone, seed + 1, number)


def people(seed: int = SEED, number: int = 100) -> list[Example]:
    """Names, most of them after words that introduce one."""
    return _many("name", person, seed + 2, number)


def clean(seed: int = SEED) -> list[str]:
    """1,300 sentences without personal data."""
    draw = random.Random(seed + 3)
    return [*ORDINARY, *(draw.choice(DRAWN)(draw) for _ in range(NUM_CLEAN - len(ORDINARY)))]


def score(examples: Iterable[Example], others: Iterable[str], kinds: Sequence[str]) -> Score:
    """What `find` makes of sentences with one item, and of others with none.

    An item is found if one finding of its kind covers it; a finding is right if it is of the
    item's kind and takes nothing beside it.
    """
    result = Score()
    for example in examples:
        result.items[example.kind] += 1
        findings = find(example.text, kinds)
        own = [finding for finding in findings if finding.kind == example.kind]
        if any(f.start <= example.start and f.end >= example.end for f in own):
            result.found[example.kind] += 1
        else:
            result.missed.append(example)
        for finding in findings:
            within = finding.start >= example.start and finding.end <= example.end
            (result.right if within and finding in own else result.wrong)[finding.kind] += 1
    for text in others:
        result.wrong.update(finding.kind for finding in find(text, kinds))
    return result


def _many(
    kind: str, make: Callable[[random.Random], Made], seed: int, number: int
) -> list[Example]:
    draw = random.Random(seed)
    return [_placed(kind, make(draw)) for _ in range(number)]


def _placed(kind: str, made: Made) -> Example:
    form, carrier, item = made
    start = carrier.index("{}")
    return Example(carrier.replace("{}", item, 1), kind, form, start, start + len(item))
