"""The output layer and its cross entropy, a few rows at a time.

Logits [S, V] of a real vocabulary are the largest tensor of a training step, and their gradient
the second largest. Here each chunk of rows gives its nats and its gradients while its logits are
still in the caches (as Liger Kernel does, Hsu et al. 2024, arXiv:2410.10989); no more of them
ever exist. Shapes: S rows, H hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dialogue.compilation import compiled

_LOGITS_AT_ONCE = 1 << 22
_LOGITS_AT_ONCE_COMPILED = 1 << 24
"""Compiled, a row at a time is in the caches, and fewer chunks sum fewer gradients [V, H]."""
_MIN_ROWS = 128


def summed_nats(
    states: Tensor, weight: Tensor, targets: Tensor, *, compile_it: bool = False
) -> Tensor:
    """−Σ log P(target | state), fp32 scalar.

    Args:
        states: [S, H], in the type the products are made in.
        weight: [V, H], of any type.
        targets: int64 [S].
        compile_it: whether torch compiles what follows the logits.
    """
    total: Tensor = _SummedNats.apply(states, weight, targets, compile_it)  # type: ignore[no-untyped-call]
    return total


def chunk_rows(vocabulary_size: int, *, compile_it: bool = False) -> int:
    """How many rows' logits are made at once."""
    at_once = _LOGITS_AT_ONCE_COMPILED if compile_it else _LOGITS_AT_ONCE
    return max(_MIN_ROWS, at_once // vocabulary_size)


def _log_sums(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits [S, V]: the logarithms of their exponentials' sums, fp32 [S], and their softmax."""
    exact = logits.float()
    sums = torch.logsumexp(exact, dim=-1, keepdim=True)
    return sums.squeeze(1), (exact - sums).exp().to(logits.dtype)


class _SummedNats(torch.autograd.Function):
    """The gradients are computed with the loss: backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, targets: Tensor, compile_it: bool
    ) -> Tensor:
        wants_states, wants_weight, *_ = ctx.needs_input_grad
        cast = weight.to(states.dtype)
        rows = chunk_rows(len(weight), compile_it=compile_it)
        total = torch.zeros((), device=states.device)
        to_states = torch.empty_like(states) if wants_states else None
        to_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        for start in range(0, len(states), rows):
            part, aim = states[start : start + rows], targets[start : start + rows, None]
            logits = functional.linear(part, cast)
            if to_states is None and to_weight is None:
                total += functional.cross_entropy(logits.float(), aim[:, 0], reduction="sum")
                continue
            sums, error = (compiled(_log_sums) if compile_it else _log_sums)(logits)
            total += sums.sum() - logits.gather(1, aim).float().sum()
            error[torch.arange(len(aim), device=aim.device), aim[:, 0]] -= 1.0
            if to_states is not None:
                to_states[start : start + rows] = error @ cast
            if to_weight is not None:
                to_weight += error.T @ part
        ctx.save_for_backward(to_states, to_weight)
        ctx.weight_type = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (scale,) = gradients
        to_states, to_weight = ctx.saved_tensors
        return (
            None if to_states is None else to_states * scale.to(to_states.dtype),
            None if to_weight is None else (to_weight * scale).to(ctx.weight_type),
            None,
            None,
        )
