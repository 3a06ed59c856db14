"""One model's examination: how it answers a paper, and what its answers and replies measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.config import Evaluate
from dialogue.conversation import REPLIES_AT_ONCE
from dialogue.decoding import greedy
from dialogue.generation import Generation, generate
from dialogue.metrics import Floats
from dialogue.metrics.contradiction import self_contradiction
from dialogue.metrics.diversity import lexical_diversity
from dialogue.metrics.embedding import Similarity
from dialogue.metrics.labels import macro_f1_shares
from dialogue.metrics.likelihood import log_likelihoods
from dialogue.metrics.novelty import (
    Seen,
    distinct,
    longest_copy,
    novel,
    repetition,
    self_repetition,
)
from dialogue.metrics.question import ANSWER_TOKENS, Question
from dialogue.metrics.selection import RANKED_TOKENS, Opening, opening, rank
from dialogue.model import Precision, autocast
from dialogue.paper import DISTANCES, Asked, Item, Paper


class Measurement(NamedTuple):
    """What one dialogue contributes to one metric."""

    dialogue_id: str
    metric: str
    value: float
    weight: float


def answer_paper(
    model: PreTrainedModel,
    paper: Paper,
    precision: Precision,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[Measurement]:
    """Every measurement that likelihoods give; `advance` is told of tokens read.

    Of a dialogue of which any likelihood is not finite, none is: NaN is no place among others.
    """
    trees = [item.tree for item in paper.items]
    found = log_likelihoods(model, trees, precision, advance)
    spoilt = {
        item.id
        for item, parts in zip(paper.items, found, strict=True)
        if not all(np.isfinite(part).all() for part in parts)
    }
    for each in _measured(paper, found):
        yield each._replace(value=math.nan) if each.dialogue_id in spoilt else each


def _measured(paper: Paper, found: Sequence[Sequence[Floats]]) -> Iterator[Measurement]:
    """What the log-likelihoods of a paper's trees measure."""
    answers = []
    for item, parts in zip(paper.items, found, strict=True):
        yield from _likelihood(item, parts[0])
        if item.question is not None:
            answers.append(_Answer.of(item.question, item.asked, parts))
    known = _elsewhere(answers)
    for answer in answers:
        yield from _relevance(answer)
        yield from _against_others(answer, *known)
        yield from _history(answer)
    yield from _classification(answers, paper.labels)


def write_replies(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    paper: Paper,
    settings: Evaluate,
    precision: Precision,
) -> dict[str, Generation]:
    """The model's own last response to the first dialogues of a paper, greedily: by id."""
    asked = [each for each in paper.questions if len(each.turns) > 1][: settings.num_generations]
    with torch.inference_mode(), autocast(precision, model.device):
        replies = generate(
            model,
            tokenizer,
            [question.turns[:-1] for question in asked],
            greedy(settings.max_new_tokens),
            batch_size=REPLIES_AT_ONCE,
        )
    return {question.id: reply for question, reply in zip(asked, replies, strict=True)}


def measure_replies(
    replies: Mapping[str, str], paper: Paper, seen: Seen, similarity: Similarity | None
) -> Iterator[Measurement]:
    """Every measurement that replies give, by the id of the dialogue they end."""
    for metric, order in (("distinct_1", 1), ("distinct_2", 2), ("distinct_3", 3)):
        for key, new, total in distinct(replies, order):
            yield Measurement(key, metric, new, total)
    for key, num_words, factors in lexical_diversity(replies):
        yield Measurement(key, "mtld", num_words, factors)
    for key, text in replies.items():
        yield Measurement(key, "novel_ngrams", *novel(text, seen))
        yield Measurement(key, "longest_copy", *longest_copy(text, seen))
        yield Measurement(key, "repetition", repetition(text), 1.0)
    if similarity is not None and replies:
        said = {question.id: question.turns[-1].text for question in paper.questions}
        cosines = similarity(list(replies.values()), [said[key] for key in replies])
        for key, cosine in zip(replies, cosines, strict=True):
            yield Measurement(key, "embedding_similarity", float(cosine), 1.0)


def measure_conversations(said: Mapping[str, Sequence[str]]) -> Iterator[Measurement]:
    """Every measurement that a speaker's turns of one conversation give, by its id."""
    for key, turns in said.items():
        yield Measurement(key, "self_repetition", *self_repetition(turns))
        yield Measurement(key, "self_contradiction", *self_contradiction(turns))


@dataclass(frozen=True, slots=True)
class _Answer:
    """The log-likelihoods of one answer's tokens, and of all that stands beside it."""

    question: Question
    asked: Asked
    true: Floats
    hard: list[Floats]
    random: list[Floats]
    labels: list[Floats]
    alone: list[Floats]
    shuffled: list[Floats]
    latest: list[Floats]

    @classmethod
    def of(cls, question: Question, asked: Asked, parts: Sequence[Floats]) -> _Answer:
        """Take apart what was found about a tree."""
        rest = iter(parts[1:])
        sizes = (
            len(asked.distractors.hard),
            len(asked.distractors.random),
            *map(len, (asked.labels, asked.alone, asked.shuffled, asked.latest)),
        )
        true = parts[0][-question.answer_length :][:ANSWER_TOKENS]
        return cls(question, asked, true, *([next(rest) for _ in range(size)] for size in sizes))

    @property
    def opening(self) -> Opening:
        """What it is as a candidate."""
        return opening(self.question.answer_ids)

    @property
    def start(self) -> float:
        """Mean log-likelihood of its opening's tokens."""
        return _mean(self.true)


_Elsewhere = tuple[dict[Opening, list[float]], dict[Opening, float]]
"""By an answer's opening, per token: after histories of other dialogues, and without any."""


def _elsewhere(answers: Sequence[_Answer]) -> _Elsewhere:
    """What the trees of other dialogues say of an answer."""
    after: dict[Opening, list[float]] = {}
    alone: dict[Opening, float] = {}
    for answer in answers:
        for ids, logs in zip(answer.asked.distractors.random, answer.random, strict=True):
            after.setdefault(ids, []).append(_mean(logs))
        for logs in answer.alone:
            alone[answer.opening] = _mean(logs)
    return after, alone


def _likelihood(item: Item, trunk: Floats) -> Iterator[Measurement]:
    nats = -float(trunk.sum())
    if item.question is not None:
        yield Measurement(item.id, "response_perplexity", nats, float(len(trunk)))
    yield Measurement(item.id, "bits_per_byte", nats / math.log(2), float(item.num_bytes))


def _relevance(answer: _Answer) -> Iterator[Measurement]:
    """The place among the distractors."""
    if not len(answer.asked.distractors):
        return
    key = answer.question.id
    place = rank(answer.true[:RANKED_TOKENS], [*answer.hard, *answer.random])
    yield Measurement(key, "hits_at_1", float(place == 1), 1.0)
    yield Measurement(key, "mrr", 1 / place, 1.0)


def _against_others(
    answer: _Answer, after: Mapping[Opening, list[float]], alone: Mapping[Opening, float]
) -> Iterator[Measurement]:
    """The true pair of history and answer against pairs that do not belong together."""
    key = answer.question.id
    if wrong := after.get(answer.opening):
        yield Measurement(key, "history_gain_over_wrong", answer.start - float(np.mean(wrong)), 1.0)
    if answer.opening not in alone or not answer.alone:
        return
    gain = answer.start - alone[answer.opening]
    gains = [
        _mean(logs) - alone[ids]
        for ids, logs in zip(answer.asked.distractors.random, answer.random, strict=True)
        if ids in alone
    ]
    if gains:
        yield Measurement(key, "next_turn", float(np.mean([gain > other for other in gains])), 1.0)


def _history(answer: _Answer) -> Iterator[Measurement]:
    """What the history tells of the answer: all of it, its order, and turns by their distance."""
    key, after_all = answer.question.id, float(answer.true.mean())
    for logs in answer.alone:
        yield Measurement(key, "history_gain", after_all - float(logs.mean()), 1.0)
    for logs in answer.shuffled:
        yield Measurement(key, "order_gap", after_all - float(logs.mean()), 1.0)
    nearer = [float(logs.mean()) for logs in (*answer.alone, *answer.latest)]
    names = (*(f"history_gain_{turns}" for turns in DISTANCES), "history_gain_older")
    for name, before, after in zip(names, nearer, (*nearer[1:], after_all), strict=False):
        yield Measurement(key, name, after - before, 1.0)


def _classification(answers: Sequence[_Answer], labels: Sequence[str]) -> Iterator[Measurement]:
    """The likeliest label against the true one; a label unknown to training is never right."""
    asked = [answer for answer in answers if answer.labels]
    if not asked:
        return
    true = [str(answer.question.label) for answer in asked]
    predicted = [labels[int(np.argmax([x.sum() for x in answer.labels]))] for answer in asked]
    shares = macro_f1_shares(true, predicted)
    for answer, label, other, share in zip(asked, true, predicted, shares, strict=True):
        yield Measurement(answer.question.id, "accuracy", float(label == other), 1.0)
        yield Measurement(answer.question.id, "macro_f1", float(share), 1.0)


def _mean(logs: Floats) -> float:
    return float(logs[:RANKED_TOKENS].mean())
