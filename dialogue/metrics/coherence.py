"""Coherence: is the last response likelier after its history than after a shuffled one."""

from __future__ import annotations

import hashlib

import numpy as np

from dialogue.encoding import Encoded
from dialogue.metrics.likelihood import Branch
from dialogue.metrics.question import Question

_SHUFFLED_TOKENS = 80
"""Only about so much of the latest history is shuffled; what stands before it is shared."""


def shuffled_history(question: Question, seed: int) -> tuple[Branch, ...]:
    """The answer after its history with the latest turns shuffled.

    Turns change places with turns of the same speaker only: what is broken is the order of what
    was said, not the alternation that chat markup promises. Empty where the history has no two
    different turns of one speaker.
    """
    turns = _latest(question)
    order = _other_order(question, turns, seed)
    if order is None:
        return ()
    ends = (*question.starts[1:], len(question.tokens.ids))
    pieces = [question.tokens.ids[question.starts[turn] : ends[turn]] for turn in order]
    start = question.starts[turns[0]]
    opening = question.tokens.ids[question.starts[-1] : question.answer]
    ids = np.concatenate([*pieces, opening, question.answer_ids])
    mask = np.arange(len(ids)) >= len(ids) - len(question.answer_ids)
    return (Branch(start, Encoded(ids, mask)),)


def _latest(question: Question) -> list[int]:
    """Indices of the latest turns before the answer: about 80 tokens, two of a speaker at least.

    A turn that lost its beginning stays where it is.
    """
    last = len(question.turns) - 1
    whole = 0 if _opens(question) else 1
    first = last
    while first > whole:
        tokens = question.starts[last] - question.starts[first - 1]
        if tokens > _SHUFFLED_TOKENS and _pairs(question, first, last):
            break
        first -= 1
    return list(range(first, last))


def _opens(question: Question) -> bool:
    """Whether the oldest turn is whole: it begins with the token that every turn begins with."""
    return bool(question.tokens.ids[0] == question.tokens.ids[question.starts[-1]])


def _pairs(question: Question, first: int, last: int) -> bool:
    """Whether some speaker has two different turns among these."""
    texts = {(turn.role, turn.text) for turn in question.turns[first:last]}
    return len(texts) > len({role for role, _ in texts})


def _other_order(question: Question, turns: list[int], seed: int) -> list[int] | None:
    """The turns in an order that says something else; None where there is none."""
    if not turns or not _pairs(question, turns[0], turns[-1] + 1):
        return None
    key = hashlib.sha256(f"order\x1f{seed}\x1f{question.id}".encode()).digest()
    generator = np.random.default_rng(list(key))
    texts = [question.turns[turn].text for turn in turns]
    while True:
        order = list(turns)
        for role in ("user", "assistant"):
            places = [i for i, turn in enumerate(turns) if question.turns[turn].role == role]
            for place, source in zip(places, generator.permutation(places), strict=True):
                order[place] = turns[source]
        if [question.turns[turn].text for turn in order] != texts:
            return order
