"""Attention within sequences that lie packed in one row, some of which continue others.

A part attends to the beginning of another part, its past, and to itself, causally. Parts that
share a past are asked together: one product with its keys serves all of them, as in Hydragen
(Juravsky et al. 2024, arXiv:2402.05099), and with their own keys under a mask. Parts without a
past are padded among those of their length.

Shapes: N tokens of the row; in a group M tokens, n parts, T tokens of the longest part and P of
the past; Q, K and D as in `llama`, G = Q / K.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialogue.attention import causal_attention

_TOKENS_AT_ONCE = 256
"""Of parts that share a past: their scores stay in the caches, and few are masked."""


@dataclass(frozen=True, slots=True)
class Part:
    """Tokens `first` to `first + length` of the row; their past are `past` tokens from `origin`."""

    first: int
    length: int
    origin: int = 0
    past: int = 0


class TreeAttention:
    """The parts of one row; every token belongs to one of them."""

    def __init__(self, parts: Sequence[Part], device: torch.device) -> None:
        alone: dict[int, list[Part]] = {}
        sharing: dict[tuple[int, int], list[Part]] = {}
        for part in parts:
            if part.past:
                sharing.setdefault((part.origin, part.past), []).append(part)
            else:
                alone.setdefault(part.length.bit_length(), []).append(part)
        self._groups: list[_Alone | _Sharing] = [_Alone(group, device) for group in alone.values()]
        self._groups += [
            _Sharing(some, device) for group in sharing.values() for some in _pieces(group)
        ]

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """What every token reads, [N, Q, D], of queries [N, Q, D], keys and values [N, K, D]."""
        mixed = torch.empty_like(query)
        query = query * scale
        for group in self._groups:
            mixed[group.members] = group(query, key, value)
        return mixed


class _Alone:
    """Parts without a past.

    `members` [M] are their tokens' places in the row; `square` [n, T] holds the same places, part
    by part, any place where a part is shorter; `places` [M] says where the members stand in it.
    """

    def __init__(self, parts: Sequence[Part], device: torch.device) -> None:
        spans = [_span(part) for part in parts]
        square = torch.nn.utils.rnn.pad_sequence(spans, batch_first=True)
        lengths = torch.tensor([len(span) for span in spans])
        valid = torch.arange(square.shape[1]) < lengths[:, None]
        self.members = torch.cat(spans).to(device)
        self._square = square.to(device)
        self._places = valid.flatten().nonzero()[:, 0].to(device)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What the members read, [M, Q, D]."""
        query, key, value = (states[self._square].transpose(1, 2) for states in (query, key, value))
        grouped = query.view(len(query), key.shape[1], -1, *query.shape[2:])
        mixed = causal_attention(grouped, key, value)
        return mixed.flatten(1, 2).transpose(1, 2).flatten(0, 1)[self._places]


class _Sharing:
    """Neighbouring parts with one past: tokens see it, and their own part up to themselves.

    `members` are their tokens' places in the row; `hidden` [M, M] is -inf where one member may not
    look at another, 0 elsewhere.
    """

    def __init__(self, parts: Sequence[Part], device: torch.device) -> None:
        first, last = parts[0], parts[-1]
        self.members = slice(first.first, last.first + last.length)
        self._past = slice(first.origin, first.origin + first.past)
        owners = torch.repeat_interleave(torch.tensor([part.length for part in parts]))
        foreign = owners[:, None] != owners
        later = torch.ones_like(foreign).triu_(1)
        self._hidden = torch.zeros(foreign.shape).masked_fill_(foreign | later, float("-inf"))
        self._hidden = self._hidden.to(device)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What the members read, [M, Q, D]."""
        num_kv, size = key.shape[1:]
        asking = query[self.members].view(len(self._hidden), num_kv, -1, size).transpose(0, 1)
        keys, values = (
            torch.cat([states[self._past], states[self.members]]).transpose(0, 1)
            for states in (key, value)
        )
        scores = asking.flatten(1, 2) @ keys.mT  # [K, M·G, P + M]
        own = scores.view(*asking.shape[:3], -1)[..., -len(self._hidden) :]
        own += self._hidden[:, None].to(scores.dtype)
        read = (torch.softmax(scores, dim=-1) @ values).view_as(asking)  # [K, M, G, D]
        return read.transpose(0, 1).flatten(1, 2)


def _span(part: Part) -> Tensor:
    return torch.arange(part.first, part.first + part.length)


def _pieces(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Neighbours, a few at a time, one at least."""
    piece: list[Part] = []
    for part in parts:
        end = part.first + part.length
        if piece and (
            piece[-1].first + piece[-1].length != part.first
            or end - piece[0].first > _TOKENS_AT_ONCE
        ):
            yield piece
            piece = []
        piece.append(part)
    yield piece
