"""Contexts with a real response and others that were not given: what an appraisal must tell apart.

Chats are those of chitchat-dataset that `fit_reader` and `fit_head` leave alone; DailyDialog and
Persona-Chat are read where `../shared/data` has them.
"""

from __future__ import annotations

import csv
import hashlib
import random
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks._chats import chats
from dialogue.appraisal import Exchange
from dialogue.appraisal.exchange import tidy
from dialogue.appraisal.wording import words

Turns = Sequence[str]

KINDS = ("another dialogue's", "same dialogue's", "set phrase", "shuffled", "echo", "near")
"""What stands in place of the real response, in this order.

`near` is, of other dialogues' turns, the one that has the most words in common with the turn before
(Jaccard index, without words of up to three signs).
"""
_SHARED = Path("../shared/data")
_LENGTHS = (1, 2, 2, 2, 3, 4, 6)
_SHORTEST, _LONGEST = 2, 40
_POOL, _SHORT_WORD = 10, 3
"""Dialogues that a near turn is taken from, and signs of words that say nothing of the topic."""
_SET_PHRASES = (
    "I don't know.",
    "That's great!",
    "Yes.",
    "I'm not sure.",
    "That sounds good to me.",
    "What do you mean?",
    "I see.",
    "Really?",
    "I'm sorry to hear that.",
    "Me too.",
    "How about you?",
    "Thank you very much.",
    "I agree with you.",
    "Oh okay.",
    "Of course.",
)


def contexts(num: int) -> dict[str, list[tuple[Exchange, ...]]]:
    """By corpus: contexts, each with the real response first and then one of each of `KINDS`."""
    own = [tuple(tidy(turn.text) for turn in dialogue.turns) for dialogue in chats()]
    corpora = {"chitchat": [turns for turns in own if held_out(turns)]} | _shared()
    return {name: _drawn(dialogues, num) for name, dialogues in corpora.items()}


def held_out(turns: Turns) -> bool:
    """Whether a chat is one of the fifth that nothing is trained on."""
    return int(told_apart(("s", *turns))[:8], 16) % 5 == 0


def told_apart(turns: Turns) -> str:
    """A hash of what was said: an order that has nothing to do with it."""
    return hashlib.sha256("".join(turns).encode()).hexdigest()


def _drawn(dialogues: Sequence[Turns], num: int) -> list[tuple[Exchange, ...]]:
    generator, pools = random.Random(7), random.Random(8)
    ordered = sorted(dialogues, key=told_apart)
    found: list[tuple[Exchange, ...]] = []
    for index, turns in enumerate(ordered):
        places = [place for place in range(1, len(turns)) if _counts(turns[place])]
        if len(found) == num or not places:
            continue
        place = generator.choice(places)
        first = max(0, place - generator.choice(_LENGTHS))
        context, real = tuple(turns[first:place]), turns[place]
        elsewhere = [*turns[:first], *turns[place + 1 :]]
        others = ordered[(index + 1 + generator.randrange(len(ordered) - 1)) % len(ordered)]
        drawn = (
            _one(generator, others, real),
            _one(generator, elsewhere, real),
            generator.choice(_SET_PHRASES),
            _shuffled(generator, real),
            generator.choice([context[-1], context[-1], context[0]]),
            _near(pools.sample(ordered, min(_POOL, len(ordered))), turns, place),
        )
        if all(drawn):
            found.append(tuple(Exchange(context, text) for text in (real, *drawn)))
    return found


def _one(generator: random.Random, turns: Turns, real: str) -> str:
    """Any turn that could be a response and is not this one; nothing where there is none."""
    fit = [turn for turn in turns if _counts(turn) and turn.casefold() != real.casefold()]
    return generator.choice(fit) if fit else ""


def _near(pool: Sequence[Turns], turns: Turns, place: int) -> str:
    """Of all turns of the pool the one with the most words in common with the turn before."""
    asked = _content(turns[place - 1])
    own = {turn.casefold() for turn in turns}
    fit = (turn for other in pool for turn in other if _counts(turn) and turn.casefold() not in own)

    def nearness(turn: str) -> float:
        said = _content(turn)
        return len(said & asked) / max(len(said | asked), 1)

    return max(fit, key=nearness, default="")


def _content(text: str) -> set[str]:
    return {word for word in words(text) if len(word) > _SHORT_WORD}


def _shuffled(generator: random.Random, text: str) -> str:
    words = text.split()
    if len(set(words)) < 2:
        return ""
    while (found := " ".join(generator.sample(words, len(words)))) == text:
        pass
    return found


def _counts(text: str) -> bool:
    return _SHORTEST <= len(text.split()) <= _LONGEST


def _shared() -> dict[str, list[Turns]]:
    daily, persona = _SHARED / "dailydialog/validation.en.txt", _SHARED / "persona_chat"
    if not daily.exists():
        return {}
    lines = daily.read_text(encoding="utf-8").splitlines()
    split = [line.split("\t")[0].split("__eou__") for line in lines]
    with (persona / "validation.csv").open(encoding="utf-8", newline="") as file:
        rows = [row[-1] for row in list(csv.reader(file))[1:]]
    said = [re.findall(r"^User \d: (.+)$", row, re.MULTILINE) for row in rows]
    return {
        "DailyDialog": [tuple(tidy(turn) for turn in turns if turn.strip()) for turns in split],
        "Persona-Chat": [tuple(map(tidy, turns)) for turns in said],
    }
