"""Conversations of a model with the people of an exam, who say what they said in any case."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.config import Evaluate
from dialogue.decoding import greedy
from dialogue.generation import Generation, generate
from dialogue.metrics.question import Question
from dialogue.model import Precision, autocast
from dialogue.records import Turn

REPLIES_AT_ONCE = 16


def converse(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    asked: Iterable[Question],
    settings: Evaluate,
    precision: Precision,
) -> dict[str, list[Generation]]:
    """The model's own turns, greedily, in the place of the last ones of each dialogue: by id.

    What a model said stands in the history of what it says next; the other speaker's turns are the
    dialogue's. The first dialogues are taken in which the model has two turns to say.
    """
    able = (question for question in asked if len(_own(question)) > 1)
    chosen = list(islice(able, settings.num_conversations))
    places = {each.id: _own(each)[-settings.conversation_turns :] for each in chosen}
    histories = {each.id: list(each.turns) for each in chosen}
    said: dict[str, list[Generation]] = {each.id: [] for each in chosen}
    for number in range(settings.conversation_turns):
        ahead = {key: own[number] for key, own in places.items() if number < len(own)}
        if not ahead:
            break
        with torch.inference_mode(), autocast(precision, model.device):
            replies = generate(
                model,
                tokenizer,
                [histories[key][:place] for key, place in ahead.items()],
                greedy(settings.max_new_tokens),
                batch_size=REPLIES_AT_ONCE,
            )
        for (key, place), reply in zip(ahead.items(), replies, strict=True):
            histories[key][place] = Turn("assistant", reply.text)
            said[key].append(reply)
    return said


def _own(question: Question) -> list[int]:
    """Which turns the model may say: those that answer something."""
    return [i for i, turn in enumerate(question.turns) if i and turn.role == "assistant"]
