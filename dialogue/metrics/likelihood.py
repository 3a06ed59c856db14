"""How likely a model finds tokens: a sequence and other ways for it to go on, in one forward.

A tree is a trunk with branches that each leave it at some token. A branch sees the trunk up to
where it leaves, and itself: the history is read once however many replies are compared after it.
Plain Llamas read trees packed end to end, others read each as a row under a mask. Shapes: B rows,
T tokens, S scored positions, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from dialogue.encoding import Encoded
from dialogue.llama import Llama, choose_llama
from dialogue.metrics import Floats
from dialogue.model import Precision, autocast
from dialogue.packing import length_batches
from dialogue.tree_attention import Part, TreeAttention

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
        """Tokens that a model reads: the last one of a sequence predicts nothing that is asked."""
        return self.num_read + sum(len(branch.tokens.ids) - 1 for branch in self.branches)

    @property
    def num_read(self) -> int:
        """How many of the trunk's tokens are read: all where a branch leaves at its end."""
        length = len(self.trunk.ids)
        last = max((branch.start for branch in self.branches), default=0)
        return max(length - 1, last, 1)


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
        llama = choose_llama(model) if trees else None
        for batch in length_batches(lengths, _TOKENS_PER_BATCH):
            layouts = [lay_out(trees[index]) for index in batch]
            flat = _score(model, layouts) if llama is None else _score_packed(llama, layouts)
            for index, parts in zip(batch, _split(flat, layouts), strict=True):
                results[index] = parts
            advance(sum(lengths[index] for index in batch))
    return results


@dataclass(frozen=True, slots=True)
class Layout:
    """One tree as a row of the T tokens that are read: of its trunk, then of its branches.

    `positions` [T] count from the beginning of what a token stands in. `columns` [S] hold the
    positions that predict the scored tokens, `targets` [S] those tokens; `sizes` says how many of
    them are the trunk's and each branch's.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    parts: tuple[Part, ...]
    columns: NDArray[np.int64]
    targets: NDArray[np.int64]
    sizes: tuple[int, ...]

    def sees(self) -> NDArray[np.bool_]:
        """Which token may look at which, [T, T]."""
        sees = np.zeros((len(self.ids), len(self.ids)), dtype=np.bool_)
        for part in self.parts:
            rows = slice(part.first, part.first + part.length)
            sees[rows, : part.past] = True
            sees[rows, rows] = np.tri(part.length, dtype=np.bool_)
        return sees


def lay_out(tree: Tree) -> Layout:
    """The tree as one row."""
    parts, positions, columns, targets = [], [], [], []
    branches = [Branch(0, tree.trunk), *tree.branches]
    first = 0
    lengths = [tree.num_read, *(len(branch.tokens.ids) - 1 for branch in tree.branches)]
    for branch, length in zip(branches, lengths, strict=True):
        if length:
            parts.append(Part(first, length, past=branch.start))
        positions.append(branch.start + np.arange(length))
        # Token t is predicted at t - 1; a branch's first token at the trunk's last before it.
        before = first + np.arange(len(branch.tokens.ids)) - 1
        before[:1] = branch.start - 1
        scored = branch.tokens.mask & (before >= 0)
        columns.append(before[scored])
        targets.append(branch.tokens.ids[scored])
        first += length
    return Layout(
        ids=np.concatenate(
            [branch.tokens.ids[:length] for branch, length in zip(branches, lengths, strict=True)]
        ),
        positions=np.concatenate(positions),
        parts=tuple(parts),
        columns=np.concatenate(columns),
        targets=np.concatenate(targets),
        sizes=tuple(len(part) for part in targets),
    )


def _score_packed(llama: Llama, layouts: Sequence[Layout]) -> Floats:
    """Log-likelihood of every scored token [S]: the trees lie end to end, without padding."""
    offsets = np.cumsum([0, *(len(layout.ids) for layout in layouts)])
    parts = [
        Part(part.first + offset, part.length, part.origin + offset, part.past)
        for layout, offset in zip(layouts, offsets.tolist(), strict=False)
        for part in layout.parts
    ]
    attention = TreeAttention(parts, llama.device)
    columns = [layout.columns + offset for layout, offset in zip(layouts, offsets, strict=False)]
    # Branches that leave at one token are predicted there, all by the same logits.
    asked, places = np.unique(np.concatenate(columns), return_inverse=True)
    ids, positions, rows = (
        torch.from_numpy(values).to(llama.device)
        for values in (
            np.concatenate([layout.ids for layout in layouts]),
            np.concatenate([layout.positions for layout in layouts]),
            asked,
        )
    )
    hidden, rotation = llama.embed(ids), llama.rotation(positions)
    for layer in llama.layers[:-1]:
        mixed = attention(*llama.project(layer, hidden, rotation), llama.scale)
        hidden = llama.finish(layer, hidden, mixed)
    layer = llama.layers[-1]
    mixed = attention(*llama.project(layer, hidden, rotation), llama.scale)
    hidden = llama.finish(layer, hidden[rows], mixed[rows])
    targets = np.concatenate([layout.targets for layout in layouts])
    return _token_log_likelihoods(llama.logits, hidden, places, targets)


def read_rows(model: PreTrainedModel, layouts: Sequence[Layout]) -> Tensor:
    """Hidden states [B, T, H] by transformers' own forward pass: one row a tree, under its mask."""
    width = max(len(layout.ids) for layout in layouts)
    ids = np.zeros((len(layouts), width), dtype=np.int64)
    positions = np.zeros_like(ids)
    # Padding sees itself: a row that sees nothing would be NaN.
    sees = np.tile(np.eye(width, dtype=np.bool_), (len(layouts), 1, 1, 1))
    for row, layout in enumerate(layouts):
        length = len(layout.ids)
        ids[row, :length] = layout.ids
        positions[row, :length] = layout.positions
        sees[row, 0, :length, :length] = layout.sees()
    device = model.device
    states: Tensor = model.base_model(
        input_ids=torch.from_numpy(ids).to(device),
        position_ids=torch.from_numpy(positions).to(device),
        attention_mask=torch.from_numpy(sees).to(device),
        use_cache=False,
    ).last_hidden_state
    return states


def _score(model: PreTrainedModel, layouts: Sequence[Layout]) -> Floats:
    """The same as `_score_packed`, for any model."""
    hidden = read_rows(model, layouts)
    width = hidden.shape[1]
    columns = [layout.columns + row * width for row, layout in enumerate(layouts)]
    asked, places = np.unique(np.concatenate(columns), return_inverse=True)
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    assert head is not None
    targets = np.concatenate([layout.targets for layout in layouts])
    states = hidden.flatten(0, 1)[torch.from_numpy(asked).to(hidden.device)]
    return _token_log_likelihoods(head, states, places, targets)


def _token_log_likelihoods(
    head: Callable[[Tensor], Tensor],
    hidden: Tensor,
    places: NDArray[np.intp],
    targets: NDArray[np.int64],
) -> Floats:
    """Of targets [S], each under the logits of hidden state `places[s]`, which never all exist."""
    order = np.argsort(places, kind="stable")
    found = np.empty(len(targets))
    for start in range(0, len(hidden), _LOGITS_AT_ONCE):
        logs = head(hidden[start : start + _LOGITS_AT_ONCE]).float().log_softmax(-1)
        first, last = np.searchsorted(places[order], [start, start + _LOGITS_AT_ONCE])
        chosen = order[first:last]
        rows, columns = (
            torch.from_numpy(values[chosen]).to(logs.device) for values in (places - start, targets)
        )
        found[chosen] = logs[rows, columns].double().cpu().numpy()
    return found


def _split(flat: Floats, layouts: Sequence[Layout]) -> list[list[Floats]]:
    sizes = [size for layout in layouts for size in layout.sizes]
    pieces = iter(np.split(flat, np.cumsum(sizes)[:-1]))
    return [[next(pieces) for _ in layout.sizes] for layout in layouts]
