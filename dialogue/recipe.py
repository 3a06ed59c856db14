"""What a training run follows from, as one digest: a checkpoint belongs to one recipe only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import torch
from transformers import PreTrainedModel

from dialogue.config import Training
from dialogue.packing import Plan
from dialogue.shards import Shard

_WITHOUT_EFFECT = {"checkpoint_seconds", "compile", "frozen_cache", "precision"}
"""Settings that change no figure, or whose choice for this machine stands in `chosen`."""


def recipe_digest(
    model: PreTrainedModel,
    read: Iterable[Shard],
    plan: Plan,
    settings: Training,
    chosen: object,
    besides: str,
) -> str:
    """SHA-256 of the first weights, what learns of them, the data, the order and the arithmetic.

    Args:
        model: before its first step.
        read: what the run learns from, and what it is measured on.
        plan: the order.
        settings: the run's `training` section.
        chosen: what `auto` came to; its `repr` counts.
        besides: what the caller adds, such as a strategy's settings.
    """
    found = hashlib.sha256()
    for fact in (plan.digest, settings.model_dump_json(exclude=_WITHOUT_EFFECT), chosen, besides):
        found.update(f"{fact!r}\n".encode())
    for name, parameter in model.named_parameters():
        found.update(f"{name} {parameter.requires_grad}\n".encode())
        found.update(parameter.detach().cpu().flatten().view(torch.uint8).numpy().data)
    for shard in read:
        for index in range(len(shard)):
            for stored in shard.stored(index):
                found.update(np.ascontiguousarray(stored).data)
    return found.hexdigest()
