"""Attention within sequences that lie packed in one row, some of which continue others.

A part attends to the beginning of another part, its past, and to itself, causally. Parts that
share a past are asked together: one product with its keys serves all of them, as in Hydragen
(Juravsky et al. 2024, arXiv:2402.05099). Nothing is padded but the short products of each part
with itself.

Shapes: N tokens of the row; in a group M tokens, n parts, T tokens of the longest part and P of
the past; Q, K and D as in `llama`, G = Q / K.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialogue.attention import causal_attention


@dataclass(frozen=True, slots=True)
class Part:
    """Tokens `first` to `first + length` of the row; their past are `past` tokens from `origin`."""

    first: int
    length: int
    origin: int = 0
    past: int = 0


@dataclass(frozen=True, slots=True)
class _Group:
    """Parts with one past.

    `members` [M] are their tokens' places in the row; `square` [n, T] holds the same places, part
    by part, any place where a part is shorter; `places` [M] says where the members stand in it.
    """

    origin: int
    past: int
    members: Tensor
    square: Tensor
    places: Tensor


class TreeAttention:
    """The parts of one row; every token belongs to one of them."""

    def __init__(self, parts: Sequence[Part], device: torch.device) -> None:
        shared: dict[tuple[int, int, int], list[Part]] = {}
        for part in parts:
            # Without a past there is nothing to share: parts of like length are padded together.
            key = (part.origin, part.past, 0) if part.past else (0, 0, part.length.bit_length())
            shared.setdefault(key, []).append(part)
        self._groups = [
            _group(origin, past, members, device) for (origin, past, _), members in shared.items()
        ]

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """What every token reads, [N, Q, D], of queries [N, Q, D], keys and values [N, K, D]."""
        mixed = torch.empty_like(query)
        for group in self._groups:
            if group.past:
                mixed[group.members] = _with_past(group, query, key, value, scale)
            else:
                mixed[group.members] = _alone(group, query, key, value, scale)
        return mixed


def _group(origin: int, past: int, parts: Iterable[Part], device: torch.device) -> _Group:
    spans = [torch.arange(part.first, part.first + part.length) for part in parts]
    square = torch.nn.utils.rnn.pad_sequence(spans, batch_first=True)
    lengths = torch.tensor([len(span) for span in spans])
    valid = torch.arange(square.shape[1]) < lengths[:, None]
    return _Group(
        origin,
        past,
        torch.cat(spans).to(device),
        square.to(device),
        valid.flatten().nonzero()[:, 0].to(device),
    )


def _alone(group: _Group, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """[M, Q, D] of parts that have no past."""
    query, key, value = (states[group.square].transpose(1, 2) for states in (query, key, value))
    grouped = (query * scale).unflatten(1, (key.shape[1], -1))
    mixed = causal_attention(grouped, key, value).flatten(1, 2)
    return mixed.transpose(1, 2).flatten(0, 1)[group.places]


def _with_past(group: _Group, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """[M, Q, D] of parts that share a past: one softmax over two kinds of scores."""
    num_kv, size = key.shape[1:]
    num_parts, width = group.square.shape
    grouped = (query * scale).view(len(query), num_kv, -1, size)  # [N, K, G, D]
    before = slice(group.origin, group.origin + group.past)

    asking = grouped[group.members].transpose(0, 1)  # [K, M, G, D]
    past = asking.flatten(1, 2) @ key[before].permute(1, 2, 0)  # [K, M·G, P]
    asking = grouped[group.square].transpose(1, 2)  # [n, K, T, G, D]
    own = asking.flatten(2, 3) @ key[group.square].permute(0, 2, 3, 1)  # [n, K, T·G, T]
    own = own.view(num_parts, num_kv, width, -1, width).float()
    later = torch.ones(width, width, dtype=torch.bool, device=own.device).triu(1)
    own = own.masked_fill_(later[:, None], float("-inf"))
    own = own.transpose(1, 2).flatten(0, 1)[group.places]  # [M, K, G, T]
    own = own.transpose(0, 1).flatten(1, 2)  # [K, M·G, T]

    weights = torch.cat([past.float(), own], dim=-1).softmax(-1).to(value.dtype)
    past, own = weights[..., : group.past], weights[..., group.past :]
    read = (past @ value[before].transpose(0, 1)).view(num_kv, len(group.members), -1, size)

    spread = own.new_zeros(num_parts * width, num_kv, read.shape[2], width)
    spread[group.places] = own.view(num_kv, len(group.members), -1, width).transpose(0, 1)
    spread = spread.view(num_parts, width, num_kv, -1, width).transpose(1, 2).flatten(2, 3)
    own_read = spread @ value[group.square].transpose(1, 2)  # [n, K, T·G, D]
    own_read = own_read.view(num_parts, num_kv, width, -1, size).transpose(1, 2)
    mixed = read.transpose(0, 1) + own_read.flatten(0, 1)[group.places]
    return mixed.flatten(1, 2)
