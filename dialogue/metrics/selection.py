"""Relevance: does the model prefer the true response to others, and does the history tell it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dialogue.encoding import Encoded
from dialogue.metrics import Floats
from dialogue.metrics.likelihood import Branch
from dialogue.metrics.question import Question


def distractors(
    question: Question, others: Sequence[Question], num_distractors: int, seed: int
) -> tuple[Branch, ...]:
    """The answers of other dialogues in place of this one's, all different from it and each other.

    Which ones depends on the seed and the dialogue alone, so that every model is asked the same.
    Empty where the exam has too few different answers: fewer distractors would be an easier test.
    """
    key = hashlib.sha256(f"{seed}\x1f{question.id}".encode()).digest()
    order = np.random.default_rng(list(key)).permutation(len(others))
    chosen: dict[tuple[int, ...], NDArray[np.int64]] = {}
    own = tuple(question.answer_ids.tolist())
    for index in order:
        ids = others[index].answer_ids
        words = tuple(ids.tolist())
        if words != own:
            chosen.setdefault(words, ids)
        if len(chosen) == num_distractors:
            return tuple(Branch(question.answer, _scored(ids)) for ids in chosen.values())
    return ()


def without_history(question: Question) -> tuple[Branch, ...]:
    """The answer as if it began the dialogue; empty where it does."""
    if len(question.turns) < 2:
        return ()
    opening = question.tokens.ids[question.starts[-1] : question.answer]
    ids = np.concatenate([opening, question.answer_ids])
    mask = np.arange(len(ids)) >= len(opening)
    return (Branch(0, Encoded(ids, mask)),)


def rank(true: Floats, others: Sequence[Floats]) -> int:
    """Place of the true response by mean log-likelihood of a token; ties go to the others."""
    return 1 + sum(bool(other.mean() >= true.mean()) for other in others)


def _scored(ids: NDArray[np.int64]) -> Encoded:
    return Encoded(ids, np.ones(len(ids), dtype=np.bool_))
