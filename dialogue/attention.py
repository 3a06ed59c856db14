"""Causal attention in blocks of queries, for sequences of dialogue length on a CPU.

A block of queries meets the keys up to its own end, so that what lies above the diagonal is
neither computed nor stored, and scores become probabilities while they are in the caches. Torch's
fused kernel on a CPU is fast forwards, and made for longer sequences in the backward pass, where it
loses to both forms here: one keeps the probabilities; one, for torch to compile, makes them anew
(as FlashAttention does, Dao et al. 2022, arXiv:2205.14135), which is faster in bf16.
Shapes: B sequences, K key heads, G queries' heads to each, T tokens, D head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from dialogue.compilation import compiled

_BLOCK = 128
_BLOCK_ANEW = 512
_MOST_TOKENS = 2_048
"""The probabilities are kept for the backward pass: T² / 2 of them to a head."""


def causal_attention(
    query: Tensor, key: Tensor, value: Tensor, *, compile_it: bool = False
) -> Tensor:
    """softmax(query · keyᵀ) · value over the tokens up to each query's own, [B, K, G, T, D].

    Args:
        query: scaled, [B, K, G, T, D].
        key: [B, K, T, D].
        value: [B, K, T, D].
        compile_it: whether torch may compile what the backward pass does between its products.
    """
    learns = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
    if learns and query.is_cpu and query.shape[3] <= _MOST_TOKENS:
        anew = compile_it and query.dtype == torch.bfloat16
        form = _MadeAnew if anew else _InBlocks
        mixed: Tensor = form.apply(query, key, value)  # type: ignore[no-untyped-call]
        return mixed
    return functional.scaled_dot_product_attention(
        query.flatten(1, 2), key, value, is_causal=True, scale=1.0, enable_gqa=query.shape[2] > 1
    ).view_as(query)


class _InBlocks(torch.autograd.Function):
    """N = B · K heads at a time; the G queries' heads of one are rows of one product."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
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
            kept.append(shares)
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


class _MadeAnew(torch.autograd.Function):
    """Torch's fused kernel forwards; the backward pass makes the probabilities of its sums."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        # What `scaled_dot_product_attention` calls, and drops the sums of.
        mixed, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query.flatten(1, 2),
            _for_each_query(key, query),
            _for_each_query(value, query),
            is_causal=True,
            scale=1.0,
        )
        found: Tensor = mixed.view_as(query)
        ctx.save_for_backward(query, key, value, found, sums.reshape(query.shape[:-1]))
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, mixed, sums = ctx.saved_tensors
        queries, keys, values = query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1)
        # Σ_j P_ij · dP_ij of each query i is that of its output and the output's gradient.
        means = compiled(_dots)(gradients[0], mixed).flatten(0, 1)
        sums, gradient = sums.flatten(0, 1), gradients[0].flatten(0, 1)
        to_queries: list[Tensor] = []
        # The last block meets all keys; the others add to what is its.
        for start, end in reversed(_blocks(query.shape[3], _BLOCK_ANEW)):
            asked, error = _rows(queries, start, end), _rows(gradient, start, end)
            heads = (len(keys), -1, end - start, end)
            shares, to_scores = compiled(_shares)(
                torch.bmm(asked, keys[:, :end].mT).view(heads),
                torch.bmm(error, values[:, :end].mT).view(heads),
                sums[:, :, start:end],
                means[:, :, start:end],
            )
            shares = shares.tril_(start).flatten(1, 2)
            to_scores = to_scores.tril_(start).flatten(1, 2)
            added = torch.bmm(to_scores.mT, asked), torch.bmm(shares.mT, error)
            if not to_queries:
                to_keys, to_values = (part.float() for part in added) if start else added
            else:
                to_keys[:, :end] += added[0]
                to_values[:, :end] += added[1]
            to_queries.append(_heads(torch.bmm(to_scores, keys[:, :end]), end - start))
        whole = to_queries[0] if len(to_queries) == 1 else torch.cat(to_queries[::-1], dim=2)
        return (
            whole.view_as(query),
            to_keys.to(key.dtype).view_as(key),
            to_values.to(value.dtype).view_as(value),
        )


def _for_each_query(states: Tensor, query: Tensor) -> Tensor:
    """Keys or values [B, K, T, D] to [B, K · G, T, D]."""
    return states[:, :, None].expand_as(query).flatten(1, 2)


def _dots(one: Tensor, other: Tensor) -> Tensor:
    """Of the last dimension, fp32."""
    return (one.float() * other.float()).sum(-1)


def _shares(
    scores: Tensor, to_shares: Tensor, sums: Tensor, means: Tensor
) -> tuple[Tensor, Tensor]:
    """Probabilities, and the gradient of the scores [..., queries, keys].

    Args:
        scores: what the probabilities are of.
        to_shares: the gradient of the probabilities.
        sums: of the scores' exponentials, their logarithms, fp32 [..., queries].
        means: of `to_shares`, by the probabilities, fp32 [..., queries].
    """
    shares = (scores.float() - sums[..., None]).exp()
    to_scores = shares * (to_shares.float() - means[..., None])
    return shares.to(scores.dtype), to_scores.to(scores.dtype)


def _blocks(num_tokens: int, size: int = _BLOCK) -> list[tuple[int, int]]:
    starts = range(0, num_tokens, size)
    return [(start, min(start + size, num_tokens)) for start in starts]


def _rows(heads: Tensor, start: int, end: int) -> Tensor:
    """[N, G, T, D] to a block's [N, G · (end - start), D]."""
    return heads[:, :, start:end].flatten(1, 2)


def _heads(rows: Tensor, num_tokens: int) -> Tensor:
    """[N, G · tokens, D] to [N, G, tokens, D]."""
    return rows.view(len(rows), -1, num_tokens, rows.shape[-1])
