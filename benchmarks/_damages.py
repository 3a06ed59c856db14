"""What can go wrong with replies, histories and weights: each kind planted by itself."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from transformers import PreTrainedModel

from dialogue.records import Dialogue, Turn

GENERIC = "I don't know what to say."

_DENIED = (
    (re.compile(r"\bI(?: am|'m) (?!not\b)", re.IGNORECASE), "I'm not "),
    (
        re.compile(r"\bI (like|love|enjoy|have|want|need|live|work|play|know)\b", re.IGNORECASE),
        r"I don't \1",
    ),
)

Damage = Callable[[Sequence[Dialogue]], list[Dialogue]]
"""Dialogues that end in the assistant's last reply, damaged."""


def ended(dialogue: Dialogue) -> Dialogue:
    """Up to the assistant's last reply."""
    last = max(i for i, turn in enumerate(dialogue.turns) if turn.role == "assistant")
    return replace(dialogue, turns=dialogue.turns[: last + 1])


def shuffled_words(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """The words of the last reply in another order."""
    return [_answered(each, _shuffled(each)) for each in dialogues]


def of_another(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """The last reply is that of the dialogue half the exam further on."""
    half = len(dialogues) // 2
    return [
        _answered(each, dialogues[(index + half) % len(dialogues)].turns[-1].text)
        for index, each in enumerate(dialogues)
    ]


def said_again(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """The last reply is the one before it once more."""
    return [_answered(each, _replies(each)[-2]) for each in dialogues]


def said_twice(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """The last reply says everything twice."""
    return [_answered(each, f"{each.turns[-1].text} {each.turns[-1].text}") for each in dialogues]


def denying(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """The last reply is the denial of a sentence about "I" of one before, where there is any."""
    return [_answered(each, _denial(each)) for each in dialogues]


def generic(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """The last reply fits everywhere."""
    return [_answered(each, GENERIC) for each in dialogues]


def without_older_turns(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """Of the history the last turn is left."""
    return [replace(each, turns=each.turns[-2:]) for each in dialogues]


def noised(model: PreTrainedModel, share: float, seed: int) -> PreTrainedModel:
    """A copy in which a random share of every matrix's entries has noise of its own spread added.

    Gaussian, with the standard deviation of the matrix's entries; norms are left alone.
    """
    damaged = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in damaged.parameters():
            if parameter.dim() < 2:
                continue
            hit = torch.rand(parameter.shape, generator=generator) < share
            noise = torch.randn(parameter.shape, generator=generator) * parameter.std()
            parameter.add_(noise * hit)
    return damaged


def _answered(dialogue: Dialogue, text: str) -> Dialogue:
    return replace(dialogue, turns=(*dialogue.turns[:-1], Turn("assistant", text)))


def _replies(dialogue: Dialogue) -> list[str]:
    return [turn.text for turn in dialogue.turns if turn.role == "assistant"]


def _denial(dialogue: Dialogue) -> str:
    for reply in _replies(dialogue)[:-1]:
        for sentence in re.split(r"(?<=[.!?])\s+", reply):
            for affirmed, denied in _DENIED:
                if affirmed.search(sentence) and not sentence.endswith("?"):
                    return affirmed.sub(denied, sentence, count=1)
    return dialogue.turns[-1].text


def _shuffled(dialogue: Dialogue) -> str:
    words = dialogue.turns[-1].text.split()
    key = hashlib.sha256(f"shuffled\x1f{dialogue.id}".encode()).digest()
    return " ".join(np.random.default_rng(list(key)).permutation(words).tolist())
