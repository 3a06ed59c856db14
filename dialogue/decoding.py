"""Rows decoded together over one KV cache; rows join and leave between two tokens.

Shapes: B rows, S cached positions, V tokens of the vocabulary. Rows are padded on the left, so
that the newest token of every row stands at the same position.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen.

    `temperature` 0 takes the likeliest token; `top_p` is the nucleus (Holtzman et al. 2020,
    arXiv:1904.09751); `repetition_penalty` divides the odds of tokens that stand in the prompt or
    the reply already (Keskar et al. 2019, arXiv:1909.05858), 1 leaves them alone. Rows with the
    same `seed` draw alike whatever runs beside them; None draws a fresh one.
    """

    max_new_tokens: int
    temperature: float
    top_p: float
    repetition_penalty: float
    seed: int | None


def greedy(max_new_tokens: int) -> Sampling:
    """The likeliest token, always."""
    return Sampling(max_new_tokens, temperature=0.0, top_p=1.0, repetition_penalty=1.0, seed=None)


class Batch:
    """Token sequences that a model continues in step, each by its own `Sampling`.

    `special` holds the ids that the repetition penalty spares: an end of turn stands in every
    prompt, and a reply must still end.
    """

    def __init__(self, model: PreTrainedModel, special: Collection[int]) -> None:
        self._model = model
        known = sorted(token for token in special if token < model.config.vocab_size)
        self._special = torch.tensor(known, dtype=torch.long, device=model.device)
        self._rows: list[_Row] = []
        self._next_key = 0
        # All of these are None as long as there is no row.
        self._cache: DynamicCache | None = None
        self._mask: Tensor | None = None  # [B, S], 1 where a position holds a token
        self._logits: Tensor | None = None  # [B, V] of the next token, None once it is chosen
        self._chosen: Tensor | None = None  # [B], chosen and not yet in the cache

    def __len__(self) -> int:
        return len(self._rows)

    @torch.inference_mode()
    def add(self, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]) -> list[int]:
        """Read prompts, each at least one token; returns one key per row, in order."""
        self._advance()
        rows = [
            _Row(self._next_key + index, sampling, self._seen(prompt), _generator(sampling.seed))
            for index, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True))
        ]
        ids, mask = _padded_left(prompts, self._model.device)
        cache = DynamicCache()
        logits = self._forward(ids, mask, (mask.cumsum(-1) - 1).clamp(min=0), cache)
        if self._cache is None or self._mask is None or self._logits is None:
            self._cache, self._mask, self._logits = cache, mask, logits
        else:
            _join(self._cache, cache)
            width = max(self._mask.shape[1], mask.shape[1])
            self._mask = torch.cat([_pad(self._mask, width), _pad(mask, width)])
            self._logits = torch.cat([self._logits, logits])
        self._rows += rows
        self._next_key += len(rows)
        return [row.key for row in rows]

    @torch.inference_mode()
    def step(self) -> dict[int, int]:
        """The next token of every row, by key."""
        if not self._rows:
            return {}
        self._advance()
        assert self._logits is not None
        logits = self._logits.float()
        tokens = [row.choose(logits[index]) for index, row in enumerate(self._rows)]
        self._chosen = torch.tensor(tokens, device=logits.device)
        self._logits = None
        for row, token in zip(self._rows, tokens, strict=True):
            row.seen[token] = True
            row.seen[self._special] = False
        return {row.key: token for row, token in zip(self._rows, tokens, strict=True)}

    @torch.inference_mode()
    def drop(self, keys: Collection[int]) -> None:
        """Forget rows, whether they ended or nobody waits for them any more."""
        kept = [index for index, row in enumerate(self._rows) if row.key not in keys]
        if len(kept) == len(self._rows):
            return
        self._rows = [self._rows[index] for index in kept]
        if not kept:
            self._cache = self._mask = self._logits = self._chosen = None
            return
        assert self._cache is not None
        assert self._mask is not None
        index = torch.tensor(kept, device=self._mask.device)
        mask = self._mask[index]
        # What only the longest row needed is cut off with it.
        blank = int(mask.any(dim=0).int().argmax())
        self._mask = mask[:, blank:]
        for layer in self._cache.layers:
            for name in ("keys", "values"):
                setattr(layer, name, getattr(layer, name)[index, :, blank:])
        self._logits = None if self._logits is None else self._logits[index]
        self._chosen = None if self._chosen is None else self._chosen[index]

    def _advance(self) -> None:
        """Read the chosen tokens; afterwards every row has logits."""
        if self._chosen is None:
            return
        assert self._mask is not None
        assert self._cache is not None
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._rows), 1)], dim=1)
        positions = self._mask.sum(-1, keepdim=True) - 1
        self._logits = self._forward(self._chosen[:, None], self._mask, positions, self._cache)
        self._chosen = None

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
        logits: Tensor = output.logits[:, -1]
        return logits

    def _seen(self, prompt: Sequence[int]) -> Tensor:
        seen = torch.zeros(
            self._model.config.vocab_size, dtype=torch.bool, device=self._model.device
        )
        seen[torch.tensor(prompt, device=seen.device)] = True
        seen[self._special] = False
        return seen


@dataclass(frozen=True, slots=True)
class _Row:
    key: int
    sampling: Sampling
    seen: Tensor  # bool [V]
    generator: torch.Generator

    def choose(self, logits: Tensor) -> int:
        """One token from logits [V]."""
        sampling = self.sampling
        if sampling.repetition_penalty != 1.0:
            penalty = sampling.repetition_penalty
            penalized = torch.where(logits > 0, logits / penalty, logits * penalty)
            logits = torch.where(self.seen, penalized, logits)
        if sampling.temperature == 0.0:
            return int(logits.argmax())
        # From the top down, and not too cold: no temperature can overflow.
        cooled = (logits - logits.max()) / max(sampling.temperature, 1e-4)
        probabilities = torch.softmax(cooled, dim=-1).cpu()
        if sampling.top_p < 1.0:
            return _from_nucleus(probabilities, sampling.top_p, self.generator)
        return int(torch.multinomial(probabilities, 1, generator=self.generator))


def _from_nucleus(probabilities: Tensor, top_p: float, generator: torch.Generator) -> int:
    """Draw from the smallest set of likeliest tokens that holds at least `top_p`."""
    # Sorting all of V costs as much as a layer: the nucleus nearly always fits in the first few.
    for count in (256, probabilities.numel()):
        top, tokens = probabilities.topk(min(count, probabilities.numel()))
        before = top.cumsum(-1) - top
        if float(before[-1] + top[-1]) >= top_p:
            break
    nucleus = torch.where(before < top_p, top, 0.0)
    nucleus[0] = top[0]
    return int(tokens[torch.multinomial(nucleus, 1, generator=generator)])


def _generator(seed: int | None) -> torch.Generator:
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


def _padded_left(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask, both [B, longest prompt]; padding is id 0 and masked."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids.to(device), mask.to(device)


def _pad(mask: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(mask, (width - mask.shape[1], 0))


def _join(cache: DynamicCache, other: DynamicCache) -> None:
    """Append the rows of `other`, both [B, heads, S, head size], the shorter padded on the left."""
    width = max(cache.get_seq_length(), other.get_seq_length())
    for mine, theirs in zip(cache.layers, other.layers, strict=True):
        for name in ("keys", "values"):
            parts = [getattr(mine, name), getattr(theirs, name)]
            padded = [
                torch.nn.functional.pad(part, (0, 0, width - part.shape[2], 0)) for part in parts
            ]
            setattr(mine, name, torch.cat(padded))
