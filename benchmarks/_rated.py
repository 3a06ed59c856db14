"""Conversations that people rated: of bots with people, and of people with one another."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.appraisal import Exchange
from dialogue.appraisal.wording import words
from dialogue.config import load_params
from dialogue.sources import raw_files

RATINGS = Path("../shared/data/ratings/interactive_dialogues.jsonl.gz")
_PARAMS = Path(__file__).parents[1] / "params.yaml"
_OVERALL = "human (overall)"
_DEFAULT = 5
"""What chitchat-dataset's form stood at; three of them say that nobody touched it."""
_FEWEST_TURNS, _MOST_TURNS = 6, 40


@dataclass(frozen=True, slots=True)
class Rated:
    """A conversation, its mean rating, and whose turns are appraised: those marked True."""

    by: str
    turns: tuple[tuple[bool, str], ...]
    rating: float

    @property
    def exchanges(self) -> list[Exchange]:
        """Every appraised turn with what stood before it."""
        texts = [text for _, text in self.turns]
        return [
            Exchange(tuple(texts[:index]), text)
            for index, (own, text) in enumerate(self.turns)
            if own and text.strip()
        ]

    @property
    def digest(self) -> str:
        """Of what was said, in hexadecimal."""
        return hashlib.sha256("\n".join(text for _, text in self.turns).encode()).hexdigest()

    @property
    def signals(self) -> Mapping[str, float]:
        """What the whole conversation shows without any model.

        `new pairs` is the share of word pairs of the appraised side that it had not used before
        (distinct-2 of the conversation; Li et al. 2016), `their words` and `own words` are means
        per turn, of the other side and of the appraised one.
        """
        mine, theirs = (
            [words(text) for own, text in self.turns if own is side] for side in (True, False)
        )
        pairs = [pair for turn in mine for pair in itertools.pairwise(turn)]
        return {
            "new pairs": len(set(pairs)) / max(len(pairs), 1),
            "own words": float(np.mean([len(turn) for turn in mine])),
            "their words": float(np.mean([len(turn) for turn in theirs] or [0])),
            "turns": float(len(self.turns)),
        }


def rated_conversations(per_bot: int) -> list[Rated]:
    """The first of each bot, by the hash of what was said."""
    rated: dict[tuple[str, str], list[float]] = defaultdict(list)
    with gzip.open(RATINGS, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            rated[row["system"], row["context"]].append(float(row[_OVERALL]))
    bots: dict[str, list[Rated]] = defaultdict(list)
    for (bot, text), ratings in sorted(rated.items(), key=lambda item: _hash(item[0][1])):
        found = Rated(bot, _turns(text), float(np.mean(ratings)))
        if len(bots[bot]) < per_bot and found.exchanges:
            bots[bot].append(found)
    return [own[number] for number in range(per_bot) for own in bots.values() if number < len(own)]


def rated_chats(num: int) -> list[Rated]:
    """Chats of two people who left a rating that is not the form's default, by hash.

    The rating is the mean of `witty`, `upbeat` and `interesting`; both sides are appraised, since
    the data do not say who rated whom.
    """
    found = sorted(_chats(), key=lambda rated: rated.digest)
    return found[:num]


def _chats() -> Iterator[Rated]:
    (file,) = raw_files(load_params(_PARAMS).ingest.sources["chitchat"])
    with file.open() as stream:
        chats: dict[str, dict[str, Any]] = json.load(stream)
    for chat in chats.values():
        ratings = list((chat.get("ratings") or {}).values())
        turns = chat["messages"]
        senders = {message["sender"] for turn in turns for message in turn}
        if (
            len(ratings) == 3
            and set(ratings) != {_DEFAULT}
            and len(senders) == 2
            and _FEWEST_TURNS <= len(turns) <= _MOST_TURNS
        ):
            said = tuple((True, "\n".join(part["text"] for part in turn)) for turn in turns)
            yield Rated("people", said, float(np.mean(ratings)))


def _turns(text: str) -> tuple[tuple[bool, str], ...]:
    """Lines begin with who speaks; one that does not goes on with the turn before it."""
    turns: list[tuple[bool, str]] = []
    for line in text.split("\n"):
        speaker, colon, said = line.partition(": ")
        if colon and speaker in ("User", "System"):
            turns.append((speaker == "System", said))
        elif turns:
            turns[-1] = (turns[-1][0], f"{turns[-1][1]} {line}")
    return tuple(turns)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
