"""From sequences to batches: like lengths together, under a token budget, in a seeded order.

Sequences are padded on the right. Under causal attention no token sees what stands to its right,
so padding changes neither the loss nor its gradient and needs no attention mask.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dialogue.encoding import Encoded
from dialogue.shards import Shard

_MULTIPLE = 16
_BUCKET_BATCHES = 8
_BATCH_COST = 128
"""What a forward and backward pass costs besides its tokens, in padded tokens."""
TOKENS_WITHOUT_GRADIENT = 4_096
"""Padded tokens of one pass that leaves nothing for a gradient, and needs less memory so."""
NO_TARGET = -100
"""What torch's cross entropy passes over."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B sequences padded to T.

    `ids` int64 [B, T]; `rows`, `columns` int64 [S]: the S positions whose next token is
    supervised, or of which a teacher speaks; `targets` int64 [S]: those next tokens, −100 where
    they are not supervised; `read` bool [S]: where one speaks, None where it is nowhere.
    """

    ids: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    targets: torch.Tensor
    read: torch.Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(
            ids=self.ids.to(device),
            rows=self.rows.to(device),
            columns=self.columns.to(device),
            targets=self.targets.to(device),
            read=None if self.read is None else self.read.to(device),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What every optimizer step reads: `steps[k]` holds the micro-batches of step k.

    A micro-batch is a tuple of indices into the shard. The plan follows from lengths and settings
    alone, so that a resumed run reads exactly what the undisturbed one would have.
    """

    steps: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the whole plan: a checkpoint belongs to one plan only."""
        return hashlib.sha256(repr(self.steps).encode()).hexdigest()


def plan_steps(
    lengths: NDArray[np.int64],
    *,
    epochs: float,
    tokens_per_batch: int,
    tokens_per_step: int,
    seed: int,
    min_steps: int = 1,
    rehearsed: int = 0,
) -> Plan:
    """Batches of like length, shuffled by epoch, gathered into optimizer steps.

    What is rehearsed is spread evenly over the steps, each of which has something of the rest; so
    is everything where there would be fewer than `min_steps`.

    Args:
        lengths: tokens of each sequence, [N].
        epochs: passes over the data; 1.5 reads half of it twice.
        tokens_per_batch: padded tokens of one forward pass, at most (one sequence at least).
        tokens_per_step: padded tokens of one optimizer step, about, whatever a batch may have.
        seed: the order's seed.
        min_steps: steps are made smaller where there would be fewer, to about so many: whole
            sequences do not part evenly, and each step has one at least.
        rehearsed: so many of the last sequences are; there must be others.
    """
    num_steps = round(epochs * int(_widths(lengths).sum()) / tokens_per_step)
    if rehearsed or num_steps < min_steps:
        num_steps = max(min_steps, num_steps, 1)
        return _even_steps(lengths, rehearsed, epochs, tokens_per_batch, num_steps, seed)
    tokens_per_batch = min(tokens_per_batch, tokens_per_step)
    generator = np.random.default_rng(seed)
    everything = np.arange(len(lengths))
    batches = _epochs(everything, lengths, epochs, tokens_per_batch, generator)
    steps: list[tuple[tuple[int, ...], ...]] = []
    current: list[tuple[int, ...]] = []
    size = 0
    for batch in batches:
        cost = _padded(int(lengths[list(batch)].max())) * len(batch)
        if current and size + cost > tokens_per_step:
            steps.append(tuple(current))
            current, size = [], 0
        current.append(batch)
        size += cost
    steps.append(tuple(current))
    return Plan(tuple(steps))


def _even_steps(
    lengths: NDArray[np.int64],
    rehearsed: int,
    epochs: float,
    tokens_per_batch: int,
    num_steps: int,
    seed: int,
) -> Plan:
    """So many steps of new and rehearsed sequences, in the same proportion throughout."""
    generator = np.random.default_rng(seed)
    widths = _widths(lengths)
    new, earlier = np.split(np.arange(len(lengths)), [len(lengths) - rehearsed])
    steps: list[list[tuple[int, ...]]] = []
    for part in (new, earlier) if rehearsed else (new,):
        its_tokens = max(1, int(epochs * int(widths[part].sum()) / num_steps))
        batches = _epochs(part, lengths, epochs, min(tokens_per_batch, its_tokens), generator)
        # Long sequences make fewer batches; and every step has something new.
        num_steps = len(steps) or min(num_steps, len(batches))
        steps = steps or [[] for _ in range(num_steps)]
        for place, batch in enumerate(batches):
            steps[int((place + 0.5) * num_steps / len(batches))].append(batch)
    return Plan(tuple(tuple(_merged(step, widths, tokens_per_batch)) for step in steps))


def _merged(
    batches: list[tuple[int, ...]], widths: NDArray[np.int64], tokens_per_batch: int
) -> list[tuple[int, ...]]:
    """The batches, those of like width as one where that costs less."""
    found: list[tuple[int, ...]] = []
    for batch in sorted(batches, key=lambda each: -int(widths[list(each)].max())):
        if found:
            joined = found[-1] + batch
            wide, narrow = (int(widths[list(each)].max()) for each in (found[-1], batch))
            fits = wide * len(joined) <= tokens_per_batch
            if fits and (wide - narrow) * len(batch) <= _BATCH_COST:
                found[-1] = joined
                continue
        found.append(batch)
    return found


def collate(
    sequences: Sequence[Encoded],
    pad_id: int,
    read: Sequence[NDArray[np.bool_]] | None = None,
) -> Batch:
    """Pad sequences to one batch and list the positions that are supervised or read.

    Args:
        sequences: at least one.
        pad_id: a token id for padding.
        read: of each sequence the tokens [T] that a teacher speaks of; None for no token.
    """
    width = _padded(max(len(sequence.ids) for sequence in sequences))
    ids = np.full((len(sequences), width), pad_id, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence.ids)] = sequence.ids
    learned = _predicting([sequence.mask for sequence in sequences], width)
    shown = np.zeros_like(learned) if read is None else _predicting(read, width)
    rows, columns = np.nonzero(learned | shown)
    targets = np.where(learned[rows, columns], ids[rows, columns + 1], NO_TARGET)
    return Batch(
        ids=torch.from_numpy(ids),
        rows=torch.from_numpy(rows),
        columns=torch.from_numpy(columns),
        targets=torch.from_numpy(targets),
        read=torch.from_numpy(shown[rows, columns]) if shown.any() else None,
    )


def supervised_tokens(shard: Shard) -> NDArray[np.int64]:
    """Tokens of each sequence that the loss is taken on, [N]."""
    counts = (np.count_nonzero(shard.stored(index)[1][1:]) for index in range(len(shard)))
    return np.fromiter(counts, np.int64, len(shard))


def length_batches(
    lengths: Sequence[int] | NDArray[np.int64], tokens_per_batch: int
) -> list[tuple[int, ...]]:
    """Indices of sequences in batches of like length, longest first: for scoring."""
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    return _batches(order, np.asarray(lengths, dtype=np.int64), tokens_per_batch)


def _predicting(masks: Sequence[NDArray[np.bool_]], width: int) -> NDArray[np.bool_]:
    """The positions [B, T] before the marked tokens: position t predicts token t + 1."""
    found = np.zeros((len(masks), width), dtype=np.bool_)
    for row, mask in enumerate(masks):
        found[row, : len(mask) - 1] = mask[1:]
    return found


def _epochs(
    indices: NDArray[np.int64],
    lengths: NDArray[np.int64],
    epochs: float,
    tokens_per_batch: int,
    generator: np.random.Generator,
) -> list[tuple[int, ...]]:
    """Batches of all epochs, each in an order of its own; the last one may be a part."""
    batches: list[tuple[int, ...]] = []
    remaining = epochs
    while remaining > 0:
        order = generator.permutation(indices)
        order = order[: max(1, round(len(order) * min(remaining, 1.0)))]
        batches += _shuffled_buckets(order, lengths, tokens_per_batch, generator)
        remaining -= 1
    return batches


def _shuffled_buckets(
    order: NDArray[np.int64],
    lengths: NDArray[np.int64],
    tokens_per_batch: int,
    generator: np.random.Generator,
) -> list[tuple[int, ...]]:
    """Sort by length within buckets of a few batches, then shuffle the batches."""
    mean = float(_widths(lengths[order]).mean())
    bucket = max(1, round(_BUCKET_BATCHES * tokens_per_batch / mean))
    batches: list[tuple[int, ...]] = []
    for start in range(0, len(order), bucket):
        part = order[start : start + bucket]
        part = part[np.argsort(-lengths[part], kind="stable")]
        batches += _batches(part, lengths, tokens_per_batch)
    return [batches[index] for index in generator.permutation(len(batches))]


def _batches(
    order: NDArray[np.int64], lengths: NDArray[np.int64], tokens_per_batch: int
) -> list[tuple[int, ...]]:
    """Cut an order, longest first, into batches under the budget."""
    batches: list[tuple[int, ...]] = []
    current: list[int] = []
    width = 0
    for index in order:
        grown = max(width, _padded(int(lengths[index])))
        if current and grown * (len(current) + 1) > tokens_per_batch:
            batches.append(tuple(current))
            current, grown = [], _padded(int(lengths[index]))
        current.append(int(index))
        width = grown
    if current:
        batches.append(tuple(current))
    return batches


def _padded(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE


def _widths(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """As `_padded`, of many."""
    return -(-lengths // _MULTIPLE) * _MULTIPLE
