"""transformers as tuned as it goes: batched generation, and ranking with and without a cache.

Shapes: B rows, T tokens, S scored positions, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CompileConfig, DynamicCache, LlamaForCausalLM

Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to call transformers' `generate`."""

    attention: str
    cache: str
    batch_size: int
    dtype: torch.dtype
    compiled: bool = False

    def __str__(self) -> str:
        kind = "bf16" if self.dtype == torch.bfloat16 else "fp32"
        compiled = ", compiled" if self.compiled else ""
        return f"{self.attention}, {self.cache} cache, batch {self.batch_size}, {kind}{compiled}"


def settings(dtypes: Sequence[torch.dtype], batch_sizes: Sequence[int]) -> list[Setting]:
    """Everything worth trying eagerly."""
    return [
        Setting(attention, cache, batch_size, dtype)
        for dtype in dtypes
        for attention in ("sdpa", "eager")
        for cache in ("dynamic", "static")
        for batch_size in batch_sizes
    ]


def generated(
    model: LlamaForCausalLM, prompts: Sequence[Ids], num_tokens: int, setting: Setting
) -> list[list[int]]:
    """Greedy continuations of exactly `num_tokens`, in order; like lengths share a batch."""
    model.set_attn_implementation(setting.attention)
    compiling: Any = CompileConfig(mode="default", dynamic=True)
    compiling._compile_all_devices = setting.compiled
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    said: dict[int, list[int]] = {}
    options: dict[str, Any] = (
        {"compile_config": compiling} if setting.compiled else {"disable_compile": True}
    )
    if setting.cache == "static":
        options["cache_implementation"] = "static"
    for start in range(0, len(order), setting.batch_size):
        members = order[start : start + setting.batch_size]
        width = max(len(prompts[index]) for index in members)
        rows = [prompts[index] for index in members]
        output = model.generate(  # type: ignore[misc]
            torch.tensor([[0] * (width - len(row)) + list(row) for row in rows]),
            attention_mask=torch.tensor(
                [[0] * (width - len(row)) + [1] * len(row) for row in rows]
            ),
            do_sample=False,
            max_new_tokens=num_tokens,
            eos_token_id=None,
            pad_token_id=0,
            **options,
        )
        said.update(zip(members, output[:, width:].tolist(), strict=True))
    return [said[index] for index in range(len(prompts))]


def fastest(
    models: dict[torch.dtype, LlamaForCausalLM],
    prompts: Sequence[Ids],
    num_tokens: int,
    tried: Sequence[Setting],
) -> tuple[Setting, dict[str, float]]:
    """The setting with the most new tokens a second, of two turns each, and all of them."""
    speeds: dict[Setting, float] = {}
    for _ in range(2):
        for setting in tried:
            began = time.perf_counter()
            generated(models[setting.dtype], prompts, num_tokens, setting)
            speed = len(prompts) * num_tokens / (time.perf_counter() - began)
            speeds[setting] = max(speed, speeds.get(setting, 0.0))
    best = max(speeds, key=lambda setting: speeds[setting])
    return best, {str(setting): speed for setting, speed in speeds.items()}


def full_passes(
    model: LlamaForCausalLM, context: Ids, candidates: Sequence[Ids], batch_size: int
) -> list[float]:
    """Log-likelihood of each candidate: the context is read again with every one."""
    found: list[float] = []
    for start in range(0, len(candidates), batch_size):
        part = candidates[start : start + batch_size]
        ids = _padded([[*context, *candidate] for candidate in part])
        width = max(map(len, part)) + 1
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=width).logits
        # The last column of the longest predicts nothing that is scored.
        found += _sums(logits[:, :-1], _padded(part), part)
    return found


def shared_cache(
    model: LlamaForCausalLM, context: Ids, candidates: Sequence[Ids], batch_size: int
) -> list[float]:
    """The same, the context read once: its cache is copied for every candidate."""
    cache = DynamicCache()
    first = model(input_ids=torch.tensor([context]), past_key_values=cache, logits_to_keep=1).logits
    found: list[float] = []
    for start in range(0, len(candidates), batch_size):
        part = candidates[start : start + batch_size]
        ids = _padded(part)
        layers: list[Any] = list(cache.layers)
        copies = [[each.expand(len(part), -1, -1, -1) for each in (layer.keys, layer.values)]
                  for layer in layers]  # fmt: skip
        past = DynamicCache([tuple(pair) for pair in copies])
        # A candidate's last token predicts nothing that is scored.
        rest = model(input_ids=ids[:, :-1], past_key_values=past).logits
        logits = torch.cat([first.expand(len(part), -1, -1), rest], dim=1)
        found += _sums(logits, ids, part)
    return found


def _sums(logits: Tensor, ids: Tensor, candidates: Sequence[Ids]) -> list[float]:
    """Σ log P of each row's own tokens, from logits [B, T, V] of ids [B, T]."""
    nats = functional.cross_entropy(
        logits.float().flatten(0, 1), ids.flatten(), reduction="none"
    ).view(ids.shape)
    lengths = torch.tensor([len(candidate) for candidate in candidates])
    own = torch.arange(ids.shape[1]) < lengths[:, None]
    sums: list[float] = (-(nats * own).double().sum(-1)).tolist()
    return sums


def _padded(rows: Sequence[Ids]) -> Tensor:
    """Ids [B, T], padded on the right, where no causal attention sees it."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
