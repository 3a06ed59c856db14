"""What a model remembers of the rows it continues: two forms with one surface.

`SlotCache` is for plain Llamas: every row owns a slot, token t of it stands in column t, and rows
come and go without moving the others. `PaddedCache` asks transformers, whatever the model is.
Shapes: B rows, S cached positions, n new rows, T tokens of the longest of them, V vocabulary; Q,
K and D as in `llama`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, PreTrainedModel

from dialogue.attention import causal_attention
from dialogue.llama import Llama, choose_llama
from dialogue.packing import length_batches

_TOKENS_AT_ONCE = 2_048
_COLUMNS = 32
"""Slots grow by so many positions at a time."""


class Cache(Protocol):
    """Rows, numbered from 0 without gaps."""

    def read(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Append a row for every prompt; returns the logits [n, V] of their next tokens."""

    def advance(self, tokens: Tensor) -> Tensor:
        """Append tokens [B], one to every row; returns the logits [B, V] of the next."""

    def keep(self, order: Sequence[int]) -> None:
        """Row i becomes what row `order[i]` was; rows that `order` lacks are forgotten."""


def choose_cache(model: PreTrainedModel) -> Cache:
    """The fast form where the model allows it."""
    llama = choose_llama(model)
    return PaddedCache(model) if llama is None else SlotCache(llama)


class SlotCache:
    """Keys and values of every layer, [slots, K, S, D], of which the first B slots are in use.

    Unused columns hold zeros or what an earlier row left there; they are masked.
    """

    def __init__(self, llama: Llama) -> None:
        self._llama = llama
        self._lengths = torch.zeros(0, dtype=torch.long, device=llama.device)  # [B]
        self._layers: list[tuple[Tensor, Tensor]] = [
            (self._empty(0, 0), self._empty(0, 0)) for _ in llama.layers
        ]

    @property
    def columns(self) -> int:
        """S: how many positions every slot has room for."""
        return self._layers[0][0].shape[2]

    def read(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Append rows; prompts of like length are read together."""
        first = len(self._lengths)
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        # The first token of the reply gets its column with the prompt.
        self._lengths = torch.cat([self._lengths, lengths.to(self._lengths.device)])
        self._fit(len(self._lengths), int(self._lengths.max()) + 1)
        parts: dict[int, Tensor] = {}
        for members in length_batches(lengths.tolist(), _TOKENS_AT_ONCE):
            slots = torch.tensor(members, device=self._lengths.device) + first
            logits = self._prefill([prompts[index] for index in members], slots)
            parts.update(zip(members, logits, strict=True))
        return torch.stack([parts[index] for index in range(len(prompts))])

    def advance(self, tokens: Tensor) -> Tensor:
        """Append one token to every row."""
        llama, rows = self._llama, len(tokens)
        self._fit(rows, int(self._lengths.max()) + 1)
        hidden, rotation = llama.embed(tokens), llama.rotation(self._lengths)
        slots = torch.arange(rows, device=tokens.device)
        unseen = self._unseen()
        for layer, (keys, values) in zip(llama.layers, self._layers, strict=True):
            query, key, value = llama.project(layer, hidden, rotation)
            keys[slots, :, self._lengths] = key
            values[slots, :, self._lengths] = value
            mixed = _attend(query, keys[:rows], values[:rows], unseen, llama.scale)
            hidden = llama.finish(layer, hidden, mixed)
        self._lengths += 1
        return llama.logits(hidden)

    def keep(self, order: Sequence[int]) -> None:
        """Copy only the rows that move."""
        moved = [(to, origin) for to, origin in enumerate(order) if to != origin]
        if moved:
            to, origin = torch.tensor(moved, device=self._lengths.device).T
            for layer in self._layers:
                for states in layer:
                    states[to] = states[origin]
        self._lengths = self._lengths[list(order)]

    def _prefill(self, prompts: Sequence[Sequence[int]], slots: Tensor) -> Tensor:
        """Read prompts side by side into their slots; logits [n, V].

        They are padded on the right, where no causal attention sees it.
        """
        llama = self._llama
        width = max(len(prompt) for prompt in prompts)
        padded = [[*prompt, *[0] * (width - len(prompt))] for prompt in prompts]
        ids = torch.tensor(padded, device=llama.device).flatten()
        positions = torch.arange(width, device=llama.device).repeat(len(prompts))
        last = torch.arange(len(prompts), device=llama.device) * width + self._lengths[slots] - 1
        hidden, rotation = llama.embed(ids), llama.rotation(positions)
        for number, (layer, (keys, values)) in enumerate(
            zip(llama.layers, self._layers, strict=True)
        ):
            query, key, value = (
                part.view(len(prompts), width, -1, llama.head_size).transpose(1, 2)
                for part in llama.project(layer, hidden, rotation)
            )
            keys[slots, :, :width] = key
            values[slots, :, :width] = value
            grouped = (query * llama.scale).view(len(query), key.shape[1], -1, *query.shape[2:])
            mixed = causal_attention(grouped, key, value).flatten(1, 2)
            mixed = mixed.transpose(1, 2).flatten(0, 1)
            if number + 1 == len(llama.layers):
                # Nothing reads the other tokens' states any more.
                mixed, hidden = mixed[last], hidden[last]
            hidden = llama.finish(layer, hidden, mixed)
        return llama.logits(hidden)

    def _fit(self, slots: int, columns: int) -> None:
        """Make room for so many slots and columns, and give up columns that nobody needs.

        The products want dense tensors: columns to spare would be copied at every step.
        """
        old_slots, old_columns = len(self._layers[0][0]), self.columns
        columns = -(-columns // _COLUMNS) * _COLUMNS
        if slots <= old_slots and old_columns - 2 * _COLUMNS < columns <= old_columns:
            return
        slots, kept = max(old_slots, slots), min(old_columns, columns)
        for index, layer in enumerate(self._layers):
            keys, values = self._empty(slots, columns), self._empty(slots, columns)
            for new, old in zip((keys, values), layer, strict=True):
                new[:old_slots, :, :kept] = old[:, :, :kept]
                # What no row may look at is multiplied all the same: it must be finite.
                new[:old_slots, :, kept:] = 0.0
                new[old_slots:] = 0.0
            self._layers[index] = (keys, values)

    def _empty(self, slots: int, columns: int) -> Tensor:
        llama = self._llama
        shape = (slots, llama.num_key_value_heads, columns, llama.head_size)
        return torch.empty(shape, dtype=llama.dtype, device=llama.device)

    def _unseen(self) -> Tensor:
        """What no row may look at, [B, 1, 1, S]: columns past its newest token."""
        columns = torch.arange(self.columns, device=self._lengths.device)
        return columns > self._lengths[:, None, None, None]


def _attend(query: Tensor, keys: Tensor, values: Tensor, unseen: Tensor, scale: float) -> Tensor:
    """One token of each row over its slot: queries [B, Q, D], keys and values [B, K, S, D].

    Written out, for the fused kernels are made for many queries and slow with one.
    """
    grouped = query.view(len(query), keys.shape[1], -1, query.shape[-1]) * scale
    scores = (grouped @ keys.transpose(-1, -2)).float().masked_fill_(unseen, float("-inf"))
    mixed = scores.softmax(-1).to(values.dtype) @ values
    return mixed.flatten(1, 2)


class PaddedCache:
    """transformers' own cache: rows are padded on the left, so that all end in the last column."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._cache = DynamicCache()
        self._mask = torch.zeros(0, 0, dtype=torch.long, device=model.device)
        """[B, S], 1 where a position holds a token."""

    def read(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Append rows, and widen whichever is shorter."""
        ids, mask = _padded_left(prompts, self._model.device)
        cache = DynamicCache()
        logits = self._forward(ids, mask, (mask.cumsum(-1) - 1).clamp(min=0), cache)
        if len(self._mask) == 0:
            self._cache, self._mask = cache, mask
        else:
            _join(self._cache, cache)
            width = max(self._mask.shape[1], mask.shape[1])
            self._mask = torch.cat([_widened(self._mask, width), _widened(mask, width)])
        return logits

    def advance(self, tokens: Tensor) -> Tensor:
        """Append one token to every row."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        positions = self._mask.sum(-1, keepdim=True) - 1
        return self._forward(tokens[:, None], self._mask, positions, self._cache)

    def keep(self, order: Sequence[int]) -> None:
        """Copy the rows that stay."""
        index = torch.tensor(order, dtype=torch.long, device=self._mask.device)
        mask = self._mask[index]
        # What only the longest row needed is cut off with it.
        blank = int(mask.any(dim=0).int().argmax()) if len(order) else 0
        self._mask = mask[:, blank:]
        for layer in self._cache.layers:
            for name in ("keys", "values"):
                setattr(layer, name, getattr(layer, name)[index, :, blank:])

    def _forward(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache) -> Tensor:
        output = self._model(
            input_ids=ids,
            # Without padding attention needs no mask, and takes its fast path.
            attention_mask=None if bool(mask.all()) else mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits


def _padded_left(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask, both [n, T]; padding is id 0 and masked."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids.to(device), mask.to(device)


def _widened(mask: Tensor, width: int) -> Tensor:
    return functional.pad(mask, (width - mask.shape[1], 0))


def _join(cache: DynamicCache, other: DynamicCache) -> None:
    """Append the rows of `other`, both [B, K, S, D], the shorter padded on the left."""
    width = max(cache.get_seq_length(), other.get_seq_length())
    for mine, theirs in zip(cache.layers, other.layers, strict=True):
        for name in ("keys", "values"):
            parts = [getattr(mine, name), getattr(theirs, name)]
            padded = [functional.pad(part, (0, 0, width - part.shape[2], 0)) for part in parts]
            setattr(mine, name, torch.cat(padded))
