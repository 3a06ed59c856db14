"""One model's examination: what it is asked about a domain's dialogues, and what that measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.config import Evaluate
from dialogue.decoding import greedy
from dialogue.encoding import Encoder
from dialogue.exam import PLAIN_TEXT
from dialogue.generation import generate
from dialogue.metrics import Floats
from dialogue.metrics.coherence import shuffled_history
from dialogue.metrics.embedding import Similarity
from dialogue.metrics.likelihood import Tree, log_likelihoods
from dialogue.metrics.novelty import Seen, distinct, novel, repetition
from dialogue.metrics.question import ANSWER_TOKENS, Question, questions
from dialogue.metrics.selection import distractors, rank, without_history
from dialogue.model import Precision, autocast
from dialogue.records import Dialogue

_REPLIES_AT_ONCE = 16


class Measurement(NamedTuple):
    """What one dialogue contributes to one metric."""

    dialogue_id: str
    metric: str
    value: float
    weight: float


@dataclass(frozen=True, slots=True)
class Item:
    """One dialogue as a tree; how many of its branches are of which kind, in this order."""

    id: str
    tree: Tree
    num_bytes: int
    question: Question | None = None
    """None for plain text."""
    num_distractors: int = 0
    num_alone: int = 0
    num_shuffled: int = 0


@dataclass(frozen=True, slots=True)
class Paper:
    """What is asked about one domain."""

    domain: str
    items: tuple[Item, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens that a model reads to answer it."""
        return sum(len(item.tree) for item in self.items)


def set_paper(
    domain: str,
    dialogues: Sequence[Dialogue],
    tokenizer: PreTrainedTokenizerFast,
    settings: Evaluate,
    *,
    thorough: bool,
) -> Paper:
    """Turn dialogues into items; only a thorough paper asks more than how likely the text is."""
    if domain == PLAIN_TEXT:
        items = _plain_items(dialogues, tokenizer, settings.max_tokens)
    else:
        asked = list(questions(dialogues, tokenizer, settings.max_tokens))
        items = (_item(question, asked if thorough else [], settings) for question in asked)
    return Paper(domain, tuple(items))


def answer_paper(
    model: PreTrainedModel,
    paper: Paper,
    precision: Precision,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[Measurement]:
    """Every measurement that likelihoods give; `advance` is told of tokens read."""
    trees = [item.tree for item in paper.items]
    for item, parts in zip(
        paper.items, log_likelihoods(model, trees, precision, advance), strict=True
    ):
        yield from _likelihood(item, parts[0])
        if item.question is not None:
            yield from _relevance(item, item.question, parts)


def write_replies(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    paper: Paper,
    settings: Evaluate,
    precision: Precision,
) -> dict[str, str]:
    """The model's own last response to the first dialogues of a paper: id → text, greedily."""
    asked = [
        item.question for item in paper.items if item.question and len(item.question.turns) > 1
    ][: settings.num_generations]
    with torch.inference_mode(), autocast(precision, model.device):
        replies = generate(
            model,
            tokenizer,
            [question.turns[:-1] for question in asked],
            greedy(settings.max_new_tokens),
            batch_size=_REPLIES_AT_ONCE,
        )
    return {question.id: reply.text for question, reply in zip(asked, replies, strict=True)}


def measure_replies(
    replies: Mapping[str, str], paper: Paper, seen: Seen, similarity: Similarity | None
) -> Iterator[Measurement]:
    """Every measurement that generated replies give."""
    for metric, order in (("distinct_1", 1), ("distinct_2", 2)):
        for key, new, total in distinct(replies, order):
            yield Measurement(key, metric, new, total)
    for key, text in replies.items():
        yield Measurement(key, "novel_ngrams", *novel(text, seen))
        yield Measurement(key, "repetition", repetition(text), 1.0)
    if similarity is not None and replies:
        said = {item.id: item.question.turns[-1].text for item in paper.items if item.question}
        cosines = similarity(list(replies.values()), [said[key] for key in replies])
        for key, cosine in zip(replies, cosines, strict=True):
            yield Measurement(key, "embedding_similarity", float(cosine), 1.0)


def _plain_items(
    documents: Sequence[Dialogue], tokenizer: PreTrainedTokenizerFast, max_tokens: int
) -> Iterator[Item]:
    encoder = Encoder(tokenizer)
    for document in documents:
        tokens = encoder.plain(document.turns[0].text, max_tokens)
        # The first token has nothing before it: neither its bits nor its bytes count.
        scored = str(tokenizer.decode(tokens.ids[1:]))
        yield Item(document.id, Tree(tokens), len(scored.encode()))


def _item(question: Question, others: Sequence[Question], settings: Evaluate) -> Item:
    if not others:
        return Item(question.id, Tree(question.tokens), question.num_bytes, question)
    choices = distractors(question, others, settings.num_distractors, settings.seed)
    alone = without_history(question)
    shuffled = shuffled_history(question, settings.seed)
    return Item(
        id=question.id,
        tree=Tree(question.tokens, (*choices, *alone, *shuffled)),
        num_bytes=question.num_bytes,
        question=question,
        num_distractors=len(choices),
        num_alone=len(alone),
        num_shuffled=len(shuffled),
    )


def _likelihood(item: Item, trunk: Floats) -> Iterator[Measurement]:
    nats = -float(trunk.sum())
    if item.question is not None:
        yield Measurement(item.id, "response_perplexity", nats, float(len(trunk)))
    yield Measurement(item.id, "bits_per_byte", nats / math.log(2), float(item.num_bytes))


def _relevance(item: Item, question: Question, parts: Sequence[Floats]) -> Iterator[Measurement]:
    true = parts[0][-question.answer_length :][:ANSWER_TOKENS]
    branches = list(parts[1:])
    choices = [branches.pop(0) for _ in range(item.num_distractors)]
    if choices:
        place = rank(true, choices)
        yield Measurement(item.id, "hits_at_1", float(place == 1), 1.0)
        yield Measurement(item.id, "mrr", 1 / place, 1.0)
    for _ in range(item.num_alone):
        gain = float(true.mean() - branches.pop(0).mean())
        yield Measurement(item.id, "history_gain", gain, 1.0)
    for _ in range(item.num_shuffled):
        gap = float(true.mean() - branches.pop(0).mean())
        yield Measurement(item.id, "order_gap", gap, 1.0)
