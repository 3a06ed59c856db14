"""Causal attention in blocks of queries, for sequences of dialogue length on a CPU.

A block of queries meets the keys up to its own end, so that what lies above the diagonal is
neither computed nor stored, and scores become probabilities while they are in the caches. Torch's
fused kernel on a CPU is made for longer sequences and loses to this one in the backward pass.
Shapes: B sequences, K key heads, G queries' heads to each, T tokens, D head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_BLOCK = 128
_MOST_TOKENS = 2_048
"""The probabilities are kept for the backward pass: T² / 2 of them to a head."""


def causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query · keyᵀ) · value over the tokens up to each query's own, [B, K, G, T, D].

    Args:
        query: scaled, [B, K, G, T, D].
        key: [B, K, T, D].
        value: [B, K, T, D].
    """
    if query.device.type == "cpu" and query.shape[3] <= _MOST_TOKENS:
        mixed: Tensor = _InBlocks.apply(query, key, value)  # type: ignore[no-untyped-call]
        return mixed
    return functional.scaled_dot_product_attention(
        query.flatten(1, 2), key, value, is_causal=True, scale=1.0, enable_gqa=query.shape[2] > 1
    ).view_as(query)


class _InBlocks(torch.autograd.Function):
    """N = B · K heads at a time; the G queries' heads of one are rows of one product."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        keeps = any(ctx.needs_input_grad)
        queries, keys, values = query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1)
        mixed = torch.empty_like(queries)
        kept = []
        for start, end in _blocks(query.shape[3]):
            scores = torch.bmm(_rows(queries, start, end), keys[:, :end].mT)
            size = end - start
            above = torch.full((size, size), float("-inf"), dtype=scores.dtype).triu_(1)
            scores.view(len(scores), -1, size, end)[..., start:] += above
            shares = torch.softmax(scores, dim=-1)
            mixed[:, :, start:end] = _heads(torch.bmm(shares, values[:, :end]), size)
            if keeps:
                kept.append(shares)
        if keeps:
            ctx.save_for_backward(queries, keys, values, *kept)
        return mixed.view_as(query)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, values, *kept = ctx.saved_tensors
        gradient = gradients[0].flatten(0, 1)
        to_queries = torch.empty_like(queries)
        # Summed over the blocks in fp32, whatever the products are made in.
        to_keys = torch.zeros_like(keys, dtype=torch.float32)
        to_values = torch.zeros_like(values, dtype=torch.float32)
        for shares, (start, end) in zip(kept, _blocks(queries.shape[2]), strict=True):
            error = _rows(gradient, start, end)
            to_values[:, :end] += torch.bmm(shares.mT, error)
            to_shares = torch.bmm(error, values[:, :end].mT)
            to_scores = torch._softmax_backward_data(to_shares, shares, -1, shares.dtype)
            to_queries[:, :, start:end] = _heads(torch.bmm(to_scores, keys[:, :end]), end - start)
            to_keys[:, :end] += torch.bmm(to_scores.mT, _rows(queries, start, end))
        sizes = gradients[0].shape
        small = (*sizes[:2], *sizes[3:])
        return (
            to_queries.view(sizes),
            to_keys.to(keys.dtype).view(small),
            to_values.to(values.dtype).view(small),
        )


def _blocks(num_tokens: int) -> list[tuple[int, int]]:
    starts = range(0, num_tokens, _BLOCK)
    return [(start, min(start + _BLOCK, num_tokens)) for start in starts]


def _rows(heads: Tensor, start: int, end: int) -> Tensor:
    """[N, G, T, D] to a block's [N, G · (end - start), D]."""
    return heads[:, :, start:end].flatten(1, 2)


def _heads(rows: Tensor, num_tokens: int) -> Tensor:
    """[N, G · tokens, D] to [N, G, tokens, D]."""
    return rows.view(len(rows), -1, num_tokens, rows.shape[-1])
