"""Rows decoded together over one cache; rows join and leave between two tokens.

Shapes: B rows, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dialogue.kv_cache import Cache, choose_cache

_NUCLEUS = 256
"""Sorting all of V costs as much as a layer: the nucleus nearly always fits in so many."""


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

    The model's weights are read once, when the batch is made. `special` holds the ids that the
    repetition penalty spares: an end of turn stands in every prompt, and a reply must still end.
    """

    @torch.inference_mode()
    def __init__(self, model: PreTrainedModel, special: Collection[int]) -> None:
        self._cache: Cache = choose_cache(model)
        self._device = model.device
        self._vocabulary_size: int = model.config.vocab_size
        known = sorted(token for token in special if token < self._vocabulary_size)
        self._special = torch.tensor(known, dtype=torch.long, device=model.device)
        self._rows: list[_Row] = []
        self._next_key = 0
        self._logits: Tensor | None = None  # [B, V] of the next token, None once it is chosen
        self._chosen: Tensor | None = None  # [B], chosen and not yet in the cache

    def __len__(self) -> int:
        return len(self._rows)

    @torch.inference_mode()
    def add(self, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]) -> list[int]:
        """Read prompts, each at least one token; returns one key per row, in order."""
        self._advance()
        rows = [
            _Row(
                self._next_key + index, sampling, self._seen(prompt, sampling), _generator(sampling)
            )
            for index, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True))
        ]
        logits = self._cache.read(prompts)
        self._logits = logits if self._logits is None else torch.cat([self._logits, logits])
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
        self._chosen = _choose(self._logits, self._rows)
        self._logits = None
        tokens: list[int] = self._chosen.tolist()
        for row, token in zip(self._rows, tokens, strict=True):
            if row.seen is not None:
                row.seen[token] = True
                row.seen[self._special] = False
        return {row.key: token for row, token in zip(self._rows, tokens, strict=True)}

    @torch.inference_mode()
    def drop(self, keys: Collection[int]) -> None:
        """Forget rows, whether they ended or nobody waits for them any more."""
        order = _closed_up([row.key not in keys for row in self._rows])
        if len(order) == len(self._rows):
            return
        self._cache.keep(order)
        self._rows = [self._rows[index] for index in order]
        self._logits = self._logits[order] if self._logits is not None and order else None
        self._chosen = self._chosen[order] if self._chosen is not None and order else None

    def _advance(self) -> None:
        """Read the chosen tokens; afterwards every row has logits."""
        if self._chosen is not None:
            self._logits = self._cache.advance(self._chosen)
            self._chosen = None

    def _seen(self, prompt: Sequence[int], sampling: Sampling) -> Tensor | None:
        if sampling.repetition_penalty == 1.0:
            return None
        seen = torch.zeros(self._vocabulary_size, dtype=torch.bool, device=self._device)
        seen[torch.tensor(prompt, device=self._device)] = True
        seen[self._special] = False
        return seen


@dataclass(frozen=True, slots=True)
class _Row:
    key: int
    sampling: Sampling
    seen: Tensor | None
    """bool [V]: what the repetition penalty falls on; None where there is no penalty."""
    generator: torch.Generator


def _closed_up(kept: Sequence[bool]) -> list[int]:
    """Which row stands where once the last rows have moved into the gaps: few rows move."""
    order = [index if keep else -1 for index, keep in enumerate(kept)]
    for index in range(len(order)):
        while order and order[-1] < 0:
            order.pop()
        if index < len(order) and order[index] < 0:
            order[index] = order.pop()
    return order


def _choose(logits: Tensor, rows: Sequence[_Row]) -> Tensor:
    """One token for every row, int64 [B], from fp32 logits [B, V]."""
    if penalized := [index for index, row in enumerate(rows) if row.seen is not None]:
        logits = logits.clone()
        logits[penalized] = _penalized(logits[penalized], [rows[index] for index in penalized])
    tokens = logits.argmax(-1)
    if drawn := [index for index, row in enumerate(rows) if row.sampling.temperature > 0.0]:
        tokens[drawn] = _drawn(logits[drawn], [rows[index] for index in drawn])
    return tokens


def _penalized(logits: Tensor, rows: Sequence[_Row]) -> Tensor:
    """Logits [B, V] after each row's repetition penalty."""
    penalty = logits.new_tensor([row.sampling.repetition_penalty for row in rows])[:, None]
    seen = torch.stack([row.seen for row in rows if row.seen is not None])
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def _drawn(logits: Tensor, rows: Sequence[_Row]) -> Tensor:
    """Tokens [B] drawn from logits [B, V]: each from its nucleus, by one number of its row."""
    # No temperature can be so cold as to overflow.
    temperature = logits.new_tensor([max(row.sampling.temperature, 1e-4) for row in rows])
    top_p = logits.new_tensor([row.sampling.top_p for row in rows], dtype=torch.float64)[:, None]
    cooled = (logits - logits.amax(-1, keepdim=True)) / temperature[:, None]
    probabilities = torch.softmax(cooled.double(), dim=-1)
    top, tokens = probabilities.topk(min(_NUCLEUS, logits.shape[1]))
    if bool((top.sum(-1, keepdim=True) < top_p).any()):
        top, tokens = probabilities.sort(descending=True)
    before = top.cumsum(-1) - top
    # The likeliest token always belongs to the smallest set that holds at least `top_p`.
    inside = (before < top_p).index_fill(1, torch.zeros(1, dtype=torch.long, device=top.device), 1)
    sums = torch.where(inside, top, 0.0).cumsum(-1)
    numbers = torch.cat(
        [torch.rand(1, 1, dtype=torch.float64, generator=row.generator) for row in rows]
    ).to(top.device)
    places = torch.searchsorted(sums, numbers * sums[:, -1:], right=True)
    return tokens.gather(1, places.clamp(max=tokens.shape[1] - 1))[:, 0]


def _generator(sampling: Sampling) -> torch.Generator:
    generator = torch.Generator()
    if sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(sampling.seed)
    return generator
