"""An exam's paper: what a model is asked about the dialogues of one domain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from dialogue.config import Evaluate
from dialogue.encoding import Encoded, Encoder
from dialogue.exam import GENERAL, PLAIN_TEXT
from dialogue.metrics.coherence import shuffled_history
from dialogue.metrics.likelihood import Branch, Tree
from dialogue.metrics.question import Question, questions
from dialogue.metrics.selection import (
    Distractors,
    Selection,
    latest_history,
    without_history,
)
from dialogue.records import Dialogue

DISTANCES = (1, 2, 4)
"""After how many of the latest turns an answer is read again, to see what the others added."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What else is asked about one answer: other answers here, and this one elsewhere."""

    distractors: Distractors = field(default_factory=Distractors)
    labels: tuple[Branch, ...] = ()
    alone: tuple[Branch, ...] = ()
    shuffled: tuple[Branch, ...] = ()
    latest: tuple[Branch, ...] = ()
    """After the latest turns: as many as `DISTANCES` says, as far as there are more."""

    def branches(self, question: Question) -> tuple[Branch, ...]:
        """All of it, in the order in which `examination` takes it apart."""
        return (
            *self.distractors.branches(question),
            *self.labels,
            *self.alone,
            *self.shuffled,
            *self.latest,
        )


@dataclass(frozen=True, slots=True)
class Item:
    """One dialogue as a tree; plain text has no question."""

    id: str
    tree: Tree
    num_bytes: int
    question: Question | None = None
    asked: Asked = field(default_factory=Asked)


@dataclass(frozen=True, slots=True)
class Paper:
    """What is asked about one domain; of a labelled one, `labels` are all answers there are."""

    domain: str
    items: tuple[Item, ...]
    labels: tuple[str, ...] = ()
    thorough: bool = False
    """Whether replies and conversations are asked for as well."""

    @property
    def num_tokens(self) -> int:
        """Tokens that a model reads to answer it."""
        return sum(len(item.tree) for item in self.items)

    @property
    def questions(self) -> tuple[Question, ...]:
        """Those of its dialogues."""
        return tuple(item.question for item in self.items if item.question is not None)


def set_paper(
    domain: str,
    dialogues: Sequence[Dialogue],
    tokenizer: PreTrainedTokenizerFast,
    settings: Evaluate,
    *,
    thorough: bool,
    labels: Sequence[str] = (),
) -> Paper:
    """Turn dialogues into items; only a thorough paper asks more than how likely the text is.

    Of general ability no paper is thorough.

    Args:
        domain: of the dialogues.
        dialogues: the exam.
        tokenizer: the model's.
        settings: how much is asked.
        thorough: whether more is asked.
        labels: all that an answer of a labelled domain may be.
    """
    if domain == PLAIN_TEXT:
        return Paper(domain, tuple(_plain_items(dialogues, tokenizer, settings.max_tokens)))
    found = list(questions(dialogues, tokenizer, settings.max_tokens))
    if not thorough or domain in GENERAL:
        return Paper(domain, tuple(_item(question, Asked()) for question in found))
    selection = Selection(
        found, settings.num_distractors, settings.num_hard_distractors, settings.seed
    )
    encoder = Encoder(tokenizer)
    responses = [np.array(encoder.response(label)) for label in labels]
    items = (
        _item(
            question,
            Asked(
                distractors=selection.distractors(question),
                labels=() if question.label is None else _choices(question, responses),
                alone=without_history(question),
                shuffled=shuffled_history(question, settings.seed),
                latest=tuple(
                    branch for turns in DISTANCES for branch in latest_history(question, turns)
                ),
            ),
        )
        for question in found
    )
    return Paper(domain, tuple(items), tuple(labels), thorough=True)


def _plain_items(
    documents: Sequence[Dialogue], tokenizer: PreTrainedTokenizerFast, max_tokens: int
) -> Iterator[Item]:
    encoder = Encoder(tokenizer)
    for document in documents:
        tokens = encoder.plain(document.turns[0].text, max_tokens)
        # The first token has nothing before it: neither its bits nor its bytes count.
        scored = str(tokenizer.decode(tokens.ids[1:]))
        yield Item(document.id, Tree(tokens), len(scored.encode()))


def _item(question: Question, asked: Asked) -> Item:
    tree = Tree(question.tokens, asked.branches(question))
    return Item(question.id, tree, question.num_bytes, question, asked)


def _choices(question: Question, responses: Sequence[NDArray[np.int64]]) -> tuple[Branch, ...]:
    """Every label as the answer, with its end."""
    return tuple(
        Branch(question.answer, Encoded(ids, np.ones(len(ids), dtype=np.bool_)))
        for ids in responses
    )
