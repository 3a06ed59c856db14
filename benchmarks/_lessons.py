"""What the reader of responses learns from: chats, with wrong responses that branch off them.

A lesson is a stretch of a chat as the reader sees it, one tree: every turn is to be predicted; some
of them are responses, after which Yes is; and beside each of these stand wrong ones, after which No
is. So a chat is read once for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dialogue.appraisal.transcript import Spoken, Transcriber
from dialogue.encoding import Encoded
from dialogue.metrics.likelihood import Branch, Tree

Turns = Sequence[str]

KINDS = {
    "another chat's": 0.3,
    "the same chat's": 0.3,
    "near": 0.25,
    "frequent": 0.06,
    "shuffled": 0.05,
    "echo": 0.04,
}
"""Wrong responses, and how often each kind is drawn. What a kind cannot give is another chat's."""
_STRETCHES = (64, 128, 256, 384)
"""Tokens of a stretch at most, drawn anew each time: responses after short and long contexts."""
_RESPONSES, _WRONG = 8, 3
_SHORTEST, _LONGEST = 2, 40
"""Words of a response; shorter ones follow anything."""
_POOL = 64
_FREQUENT = 100


class Lessons:
    """Draws lessons from chats.

    Args:
        chats: turns, tidied.
        vectors: of every text that `responses` gives, unit vectors [V, D].
        transcriber: writes turns as tokens.
        seed: of everything that is drawn.
    """

    def __init__(
        self,
        chats: Sequence[Turns],
        vectors: NDArray[np.float32],
        transcriber: Transcriber,
        seed: int,
    ) -> None:
        self._chats, self._vectors, self._transcriber = chats, vectors, transcriber
        self._texts = responses(chats)
        self._places = {text: place for place, text in enumerate(self._texts)}
        self._draw = np.random.default_rng(seed)
        said = Counter(text for turns in chats for text in turns if is_response(text))
        self._frequent = [text for text, _ in said.most_common(_FREQUENT)]

    def __iter__(self) -> Iterator[Tree]:
        for turns in self._chats:
            start = 0
            while start < len(turns):
                first, limit = int(self._draw.integers(2)), int(self._draw.choice(_STRETCHES))
                spoken = self._stretch(turns[start:], first, limit)
                yield self._tree(turns, start, first, spoken)
                start += len(spoken)

    def _stretch(self, turns: Turns, first: int, limit: int) -> list[Spoken]:
        """The first turns that fit, at least two of two; speaker `first` begins."""
        spoken: list[Spoken] = []
        for number, text in enumerate(turns, start=first):
            spoken.append(self._transcriber.turn(number, text))
            if len(spoken) > 2 and sum(map(len, spoken)) > limit:
                return spoken[:-1]
        return spoken

    def _tree(self, turns: Turns, start: int, first: int, spoken: Sequence[Spoken]) -> Tree:
        ids, ends = self._transcriber.transcript(spoken)
        mask = np.zeros(len(ids), dtype=np.bool_)
        for turn, begin in zip(spoken, ends, strict=False):
            mask[begin + len(turn.opening) : begin + len(turn)] = True
        places = [n for n in range(1, len(spoken)) if is_response(turns[start + n])]
        if len(places) > _RESPONSES:
            places = sorted(self._draw.choice(places, _RESPONSES, replace=False).tolist())
        branches = []
        for place in places:
            branches.append(Branch(ends[place + 1], _answered((), self._transcriber.yes)))
            for _ in range(_WRONG):
                if wrong := self._wrong(turns, start, start + place):
                    turn = self._transcriber.turn(first + place, wrong)
                    tokens = (*turn.opening, *turn.said)
                    branches.append(Branch(ends[place], _answered(tokens, self._transcriber.no)))
        return Tree(Encoded(ids, mask), tuple(branches))

    def _wrong(self, turns: Turns, start: int, place: int) -> str:
        """Something else in place of turn `place`, whose context begins at `start`; or nothing."""
        real, before = turns[place], turns[max(start, place - 2) : place]
        kind = self._one_of(list(KINDS), list(KINDS.values()))
        others: Sequence[str] = ()
        if kind == "the same chat's":
            others = [text for text in turns if is_response(text)]
        elif kind == "near":
            others = self._near(before[-1], turns)
        elif kind == "frequent":
            others = self._frequent
        elif kind == "shuffled":
            others = [" ".join(self._draw.permutation(real.split()))]
        elif kind == "echo":
            others = before
        wrong = self._one_of(others or self._texts)
        return "" if wrong.casefold() == real.casefold() else wrong

    def _near(self, text: str, turns: Turns) -> list[str]:
        """Of some responses of other chats the one nearest in meaning, if the text has a vector."""
        if text not in self._places:
            return []
        pool = self._draw.integers(len(self._texts), size=_POOL)
        nearness = self._vectors[pool] @ self._vectors[self._places[text]]
        own = set(turns)
        ordered = (self._texts[place] for place in pool[np.argsort(-nearness)])
        return [other for other in ordered if other not in own][:1]

    def _one_of(self, things: Sequence[str], chances: Sequence[float] | None = None) -> str:
        return things[int(self._draw.choice(len(things), p=chances))]


def responses(chats: Sequence[Turns]) -> list[str]:
    """Every text of the chats that can be a response, once."""
    texts = {text for turns in chats for text in turns if is_response(text)}
    return sorted(texts, key=lambda text: (len(text), text))


def is_response(text: str) -> bool:
    """Whether it is long enough to follow from something, and no speech."""
    return _SHORTEST <= len(text.split()) <= _LONGEST


def _answered(tokens: Sequence[int], answer: int) -> Encoded:
    """Tokens that are not scored, and the answer, which is."""
    ids = np.asarray([*tokens, answer], dtype=np.int64)
    return Encoded(ids, np.arange(len(ids)) == len(tokens))
