"""What `auto` comes to: by what the model, the machine and the plan are, never by a clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from dialogue.compilation import can_compile
from dialogue.config import Training
from dialogue.distributed import num_processes, outgrows
from dialogue.forward import decoder_layers, frozen_layers
from dialogue.llama import oddity
from dialogue.model import Precision, choose_precision
from dialogue.packing import Plan
from dialogue.repeats import first_alike
from dialogue.shards import Shard

_COMPILING_PAYS = 3e13
"""Floating-point operations of a run from which compiling the layers saves more than it costs."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What `auto` came to."""

    precision: Precision
    compiled: bool
    cached: bool
    sharded: bool
    device: str
    processes: int


def choose(
    model: PreTrainedModel,
    examples: Shard,
    plan: Plan,
    settings: Training,
    device: torch.device,
    num_read: int = 0,
) -> Chosen:
    """By what the model, the machine and the plan are, never by a clock: a resumed run agrees.

    Args:
        model: its parameters' `requires_grad` says what learns.
        examples: what the run trains on.
        plan: in which order.
        settings: the run's `training` section.
        device: where it trains.
        num_read: how many examples a teacher reads besides, through the same frozen layers.

    Raises:
        ValueError: a setting asks for what this model or machine cannot do.
    """
    odd = oddity(model, learning=True)
    lean = not odd
    frozen = frozen_layers(model) if lean else 0
    if settings.frozen_cache == "always" and odd:
        raise ValueError(f"training.frozen_cache: {odd}; set it to auto")
    if settings.frozen_cache == "always" and not frozen:
        raise ValueError(
            "training.frozen_cache: the layers at the bottom are not frozen; freeze the embeddings "
            "and the lowest layers, or set it to auto"
        )
    if settings.compile == "always" and not (lean and can_compile()):
        raise ValueError(f"training.compile: {odd or 'there is no C++ compiler'}; set it to auto")
    sharded = outgrows(model, device)
    if settings.frozen_cache == "always" and sharded:
        raise ValueError(
            "training.frozen_cache: the model outgrows one device, and its shards keep nothing of "
            "the frozen layers; set it to auto"
        )
    reads = num_read + sum(len(part) for step in plan.steps for part in step)
    again = reads > len(np.unique(first_alike(examples)))
    cached = (frozen > 0 and not sharded) and (
        settings.frozen_cache == "always" or (settings.frozen_cache == "auto" and again)
    )
    tokens = sum(int(examples.lengths[list(p)].sum()) for step in plan.steps for p in step)
    layers = decoder_layers(model)
    sizes = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]
    # Two operations a weight and token forwards, four more backwards where it learns.
    work = tokens * (6 * sum(sizes[frozen:]) + (0 if cached else 2 * sum(sizes[:frozen])))
    # Of a model in shards, torch would compile every layer anew; for a GPU it takes a minute.
    pays = work > _COMPILING_PAYS and not sharded and device.type == "cpu"
    compiled = lean and (
        settings.compile == "always" or (settings.compile == "auto" and pays and can_compile())
    )
    precision = choose_precision(settings.precision)
    return Chosen(precision, compiled, cached, sharded, device.type, num_processes())
