"""How the lifelong benchmarks learn: sizes, settings, and a round as `tasks.finetune` plays it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from benchmarks._lifelong_stream import Sizes, Stream
from dialogue.config import Finetune, load_params
from dialogue.continual import Combination
from dialogue.continual.memory import Memory
from dialogue.continual.strategy import Round
from dialogue.freezing import freeze, merge_adapters
from dialogue.log import SilentLog
from dialogue.shards import Shard, empty_shard
from dialogue.training import train

QUICK = Sizes(num_train=40, num_test=8, num_selected=6, max_tokens=64, pretrain_tokens=20_000)
SIZES = {
    "pretrained": Sizes(
        num_train=200, num_test=30, num_selected=10, max_tokens=128, pretrain_tokens=None
    ),
    "small": Sizes(
        num_train=500, num_test=40, num_selected=20, max_tokens=128, pretrain_tokens=300_000
    ),
}
TRAINING: dict[str, dict[str, float | int]] = {
    "pretrained": {
        "epochs": 2.0,
        "learning_rate": 3e-4,
        "tokens_per_step": 512,
        "tokens_per_batch": 1024,
        "min_steps": 80,
    },
    "small": {
        "epochs": 2.0,
        "learning_rate": 2e-3,
        "tokens_per_step": 2048,
        "tokens_per_batch": 2048,
        "min_steps": 1,
    },
}
MEMORY_SHARE = 0.05
"""Of the training dialogues' bytes."""


def settings(
    base: str,
    seed: int,
    stream: Stream,
    strategy: Sequence[str] | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Finetune:
    """The section `finetune` of params.yaml, by its own strategy or another.

    Of a small model all learns.
    """
    section = load_params(Path("params.yaml")).finetune.model_dump()
    if strategy is not None:
        section["strategy"] = tuple(strategy)
    if base == "small":
        section["freeze"] |= {"top_layers": None, "embeddings": False}
    # Only joint training would be long enough to be compiled, and its shares are told by its cost.
    section["training"] |= TRAINING[base] | {"seed": seed, "patience": 0, "compile": "never"}
    section["replay"]["max_bytes"] = int(MEMORY_SHARE * stream.num_bytes)
    section["ewc"]["max_bytes"] = 10**9
    for part, values in (changes or {}).items():
        section[part] |= values
    return Finetune.model_validate(section)


def nothing() -> Memory:
    """What is remembered before the first round."""
    return Memory(empty_shard())


def learn(
    stream: Stream,
    domain: str,
    new: Shard,
    memory: Memory,
    settings: Finetune,
    model: PreTrainedModel,
) -> tuple[PreTrainedModel, Memory, dict[str, float]]:
    """The model and the memory after a round, and what the round cost, all of it."""
    began, busy = time.perf_counter(), time.process_time()
    freeze(model, settings.freeze, settings.training.seed)
    lesson = Round(domain, new, memory, model, stream.tokenizer, settings)
    strategy = Combination(lesson)
    examples = strategy.prepare()
    checkpoints = stream.base.with_name(f"checkpoints-{os.getpid()}")
    trained = train(
        model,
        examples,
        settings.training,
        SilentLog(),
        pad_id=lesson.pad_id,
        checkpoints=checkpoints,
        label=domain,
        rehearsed=len(examples) - len(new),
        regularizer=strategy.regularizer(examples),
    )
    shutil.rmtree(checkpoints, ignore_errors=True)
    strategy.merge()
    left = strategy.remember()
    merge_adapters(model)
    cost = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - busy,
        "tokens": float(trained.num_tokens),
    }
    return model, left, cost
