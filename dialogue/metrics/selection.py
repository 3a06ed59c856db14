"""Relevance: does the model prefer the true response to others, and does the history tell it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dialogue.encoding import Encoded
from dialogue.metrics import Floats
from dialogue.metrics.likelihood import Branch
from dialogue.metrics.novelty import words
from dialogue.metrics.question import Question

RANKED_TOKENS = 12
"""Candidates are told apart by their first so many tokens: twenty whole ones would cost more than
all else that is asked, and rank no better."""

Opening = tuple[int, ...]
"""The first RANKED_TOKENS of a response: what it is as a candidate."""


@dataclass(frozen=True, slots=True)
class Distractors:
    """Other responses in the place of a true one: none of them is it, and no two are alike.

    `hard` ones are likely to be taken for it; `random` ones are answers of other dialogues.
    """

    hard: tuple[Opening, ...] = ()
    random: tuple[Opening, ...] = ()

    def __len__(self) -> int:
        return len(self.hard) + len(self.random)

    def branches(self, question: Question) -> tuple[Branch, ...]:
        """Each in the response's place: the hard ones, then the random ones."""
        return tuple(
            Branch(question.answer, Encoded(np.array(ids), np.ones(len(ids), dtype=np.bool_)))
            for ids in (*self.hard, *self.random)
        )


class Selection:
    """The distractors of every question of one exam.

    The dialogues stand in a ring, ordered by a hash of seed and id. Random distractors are the
    answers next along the ring, so that every model is asked the same, and every answer is asked
    after several histories that are not its own. Hard ones have the most words in common with the
    true response (Jaccard); between equals the ring decides.

    Args:
        asked: the exam's questions.
        num_distractors: how many a question has, or none: fewer would be an easier test.
        num_hard: how many of them are hard.
        seed: of the ring's order.
    """

    def __init__(
        self, asked: Sequence[Question], num_distractors: int, num_hard: int, seed: int
    ) -> None:
        self._ring = sorted(asked, key=lambda question: _place(question.id, seed))
        self._places = {question.id: place for place, question in enumerate(self._ring)}
        self._words = [frozenset(words(question.turns[-1].text)) for question in self._ring]
        self._num_distractors, self._num_hard = num_distractors, num_hard

    def distractors(self, question: Question) -> Distractors:
        """Those of one question; none where the exam has too few different answers."""
        place = self._places[question.id]
        along = [*range(place + 1, len(self._ring)), *range(place)]
        near = sorted(along, key=lambda other: -self._likeness(place, other))
        known = {opening(question.answer_ids)}
        hard = self._new(near, known, self._num_hard)
        random = self._new(along, {*known, *hard}, self._num_distractors - self._num_hard)
        found = Distractors(hard, random)
        return found if len(found) == self._num_distractors else Distractors()

    def _likeness(self, place: int, other: int) -> float:
        ours, theirs = self._words[place], self._words[other]
        return len(ours & theirs) / max(len(ours | theirs), 1)

    def _new(self, places: Iterable[int], known: set[Opening], number: int) -> tuple[Opening, ...]:
        """The first so many answers that are neither known nor alike."""
        found: dict[Opening, None] = {}
        for place in places:
            if len(found) == number:
                break
            ids = opening(self._ring[place].answer_ids)
            if ids not in known:
                found[ids] = None
        return tuple(found)


def opening(ids: NDArray[np.int64]) -> Opening:
    """What tells a response from others."""
    return tuple(ids[:RANKED_TOKENS].tolist())


def without_history(question: Question) -> tuple[Branch, ...]:
    """The answer as if it began the dialogue; empty where it does."""
    if len(question.turns) < 2:
        return ()
    return (_after_turns(question, len(question.turns) - 1),)


def latest_history(question: Question, num_turns: int) -> tuple[Branch, ...]:
    """The answer after the latest turns alone; empty where there are no others."""
    first = len(question.turns) - 1 - num_turns
    return () if first < 1 else (_after_turns(question, first),)


def rank(true: Floats, others: Sequence[Floats]) -> int:
    """Place of the true response by mean log-likelihood of a token; ties go to the others."""
    return 1 + sum(bool(other.mean() >= true.mean()) for other in others)


def _after_turns(question: Question, first: int) -> Branch:
    """The dialogue from turn `first` on, up to the answer's end."""
    before = question.tokens.ids[question.starts[first] : question.answer]
    ids = np.concatenate([before, question.answer_ids])
    return Branch(0, Encoded(ids, np.arange(len(ids)) >= len(before)))


def _place(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()
