"""How likely a model finds tokens: a sequence and other ways for it to go on, in one forward.

A tree is a trunk with branches that each leave it at some token. All of it is one row under a
mask that lets a branch see the trunk up to where it leaves, and itself: the history is read once
however many replies are compared after it. Shapes: B rows, T tokens, S scored positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import PreTrainedModel

from dialogue.encoding import Encoded
from dialogue.metrics import Floats
from dialogue.model import Precision, autocast
from dialogue.packing import length_batches

_TOKENS_PER_BATCH = 2_048
_LOGITS_AT_ONCE = 256
"""Positions whose logits exist at the same time: 50 MB at 49,152 words, and still in the cache."""


@dataclass(frozen=True, slots=True)
class Branch:
    """Tokens in place of what follows the trunk's first `start` tokens; scored where masked."""

    start: int
    tokens: Encoded


@dataclass(frozen=True, slots=True)
class Tree:
    """A sequence, and other ways for it to go on."""

    trunk: Encoded
    branches: tuple[Branch, ...] = ()

    def __len__(self) -> int:
        return len(self.trunk.ids) + sum(len(branch.tokens.ids) for branch in self.branches)


def log_likelihoods(
    model: PreTrainedModel,
    trees: Sequence[Tree],
    precision: Precision,
    advance: Callable[[int], None] = lambda _: None,
) -> list[list[Floats]]:
    """Log-likelihood in nats of every scored token, in order: of the trunk, then of each branch.

    The first token of a sequence has nothing before it and is never scored.

    Args:
        model: any causal language model whose attention takes a mask of its own.
        trees: what to score.
        precision: of the matrix products; sums are fp32.
        advance: told how many tokens were read since the last call.
    """
    results: list[list[Floats]] = [[] for _ in trees]
    lengths = [len(tree) for tree in trees]
    # One autocast for all: it then keeps the weights it has cast.
    with torch.inference_mode(), autocast(precision, model.device):
        for batch in length_batches(lengths, _TOKENS_PER_BATCH):
            members = [trees[index] for index in batch]
            for index, parts in zip(batch, _score(model, members), strict=True):
                results[index] = parts
            advance(sum(lengths[index] for index in batch))
    return results


@dataclass(frozen=True, slots=True)
class _Layout:
    """One tree as a row of T tokens.

    `sees` bool [T, T]: which token may look at which; `positions` [T]. `columns` [S] hold the
    positions that predict the scored tokens, `targets` [S] those tokens; `sizes` says how many of
    them are the trunk's and each branch's.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    sees: NDArray[np.bool_]
    columns: NDArray[np.int64]
    targets: NDArray[np.int64]
    sizes: tuple[int, ...]


def _lay_out(tree: Tree) -> _Layout:
    total = len(tree)
    parts = [Branch(0, tree.trunk), *tree.branches]
    sees = np.zeros((total, total), dtype=np.bool_)
    positions, columns, targets, sizes = [], [], [], []
    first = 0
    for part in parts:
        length = len(part.tokens.ids)
        rows = slice(first, first + length)
        sees[rows, : part.start] = True
        sees[rows, rows] = np.tri(length, dtype=np.bool_)
        positions.append(part.start + np.arange(length))
        # Token t is predicted at t - 1; a branch's first token at the trunk's last before it.
        before = first + np.arange(length) - 1
        before[:1] = part.start - 1
        scored = part.tokens.mask & (before >= 0)
        columns.append(before[scored])
        targets.append(part.tokens.ids[scored])
        sizes.append(int(scored.sum()))
        first += length
    return _Layout(
        ids=np.concatenate([part.tokens.ids for part in parts]),
        positions=np.concatenate(positions),
        sees=sees,
        columns=np.concatenate(columns),
        targets=np.concatenate(targets),
        sizes=tuple(sizes),
    )


def _score(model: PreTrainedModel, trees: Sequence[Tree]) -> list[list[Floats]]:
    layouts = [_lay_out(tree) for tree in trees]
    width = max(len(layout.ids) for layout in layouts)
    ids = np.zeros((len(layouts), width), dtype=np.int64)
    positions = np.zeros_like(ids)
    # Padding sees itself: a row that sees nothing would be NaN.
    sees = np.tile(np.eye(width, dtype=np.bool_), (len(layouts), 1, 1, 1))
    for row, layout in enumerate(layouts):
        length = len(layout.ids)
        ids[row, :length] = layout.ids
        positions[row, :length] = layout.positions
        sees[row, 0, :length, :length] = layout.sees
    device = model.device
    hidden = model.base_model(
        input_ids=torch.from_numpy(ids).to(device),
        position_ids=torch.from_numpy(positions).to(device),
        attention_mask=torch.from_numpy(sees).to(device),
        use_cache=False,
    ).last_hidden_state
    rows = np.repeat(np.arange(len(layouts)), [len(layout.columns) for layout in layouts])
    columns = np.concatenate([layout.columns for layout in layouts])
    targets = np.concatenate([layout.targets for layout in layouts])
    flat = _token_log_likelihoods(
        model,
        hidden[torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)],
        torch.from_numpy(targets).to(device),
    )
    return _split(flat, layouts)


def _token_log_likelihoods(
    model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor
) -> Floats:
    """Of targets [S] under the logits of hidden states [S, H], which never exist all at once."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    assert head is not None
    parts = [
        -functional.cross_entropy(
            head(hidden[start : start + _LOGITS_AT_ONCE]).float(),
            targets[start : start + _LOGITS_AT_ONCE],
            reduction="none",
        )
        for start in range(0, len(targets), _LOGITS_AT_ONCE)
    ]
    found: Floats = torch.cat(parts).double().cpu().numpy()
    return found


def _split(flat: Floats, layouts: Sequence[_Layout]) -> list[list[Floats]]:
    sizes = [size for layout in layouts for size in layout.sizes]
    pieces = iter(np.split(flat, np.cumsum(sizes)[:-1]))
    return [[next(pieces) for _ in layout.sizes] for layout in layouts]
