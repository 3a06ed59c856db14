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

_LOGITS_AT_ONCE = 1 << 22
_MIN_ROWS = 128


def summed_nats(states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """−Σ log P(target | state), fp32 scalar.

    Args:
        states: [S, H], in the type the products are made in.
        weight: [V, H], of any type.
        targets: int64 [S].
    """
    total: Tensor = _SummedNats.apply(states, weight, targets)  # type: ignore[no-untyped-call]
    return total


def chunk_rows(vocabulary_size: int) -> int:
    """How many rows' logits are made at once."""
    return max(_MIN_ROWS, _LOGITS_AT_ONCE // vocabulary_size)


class _SummedNats(torch.autograd.Function):
    """The gradients are computed with the loss: backward only scales them."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        wants_states, wants_weight, _ = ctx.needs_input_grad
        cast = weight.to(states.dtype)
        rows = chunk_rows(len(weight))
        total = torch.zeros((), device=states.device)
        to_states = torch.empty_like(states) if wants_states else None
        to_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        for start in range(0, len(states), rows):
            part, aim = states[start : start + rows], targets[start : start + rows, None]
            logs = functional.log_softmax(functional.linear(part, cast).float(), dim=-1)
            total -= logs.gather(1, aim).sum()
            if to_states is None and to_weight is None:
                continue
            error = logs.exp_()
            error.scatter_add_(1, aim, error.new_full(aim.shape, -1.0))
            error = error.to(states.dtype)
            if to_states is not None:
                to_states[start : start + rows] = error @ cast
            if to_weight is not None:
                to_weight += error.T @ part
        ctx.save_for_backward(to_states, to_weight)
        ctx.weight_type = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (scale,) = gradients
        to_states, to_weight = ctx.saved_tensors
        return (
            None if to_states is None else to_states * scale.to(to_states.dtype),
            None if to_weight is None else (to_weight * scale).to(ctx.weight_type),
            None,
        )
