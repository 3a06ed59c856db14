"""What leaves the frozen layers, computed once per example and kept in a mapped file.

An epoch after the first then begins at the lowest layer that learns. That is right only where
nothing below it can change and nothing there is drawn at random; `Forward.num_frozen` is the
number of layers of which both hold, and 0 of them leaves nothing to keep.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dialogue.digests import file_digest
from dialogue.forward import Forward, decoder_layers
from dialogue.packing import collate, length_batches
from dialogue.repeats import first_alike
from dialogue.shards import Shard

_STATES, _FACTS = "states.bin", "states.json"


class FrozenStates:
    """Border states [Σ T, H] of a shard's examples that differ, in the arithmetic's type.

    `starts` says where each example's begin, those that are alike in one place.
    """

    def __init__(
        self, states: Tensor, starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> None:
        self._states, self._starts, self._lengths = states, starts, lengths

    def batch(self, indices: tuple[int, ...], width: int) -> Tensor:
        """Those of some examples, padded with zeros to [B, width, H].

        Padding stands to the right, where under causal attention no example's token looks.
        """
        padded = self._states.new_zeros(len(indices), width, self._states.shape[1])
        for row, index in enumerate(indices):
            start, length = int(self._starts[index]), int(self._lengths[index])
            padded[row, :length] = self._states[start : start + length]
        return padded


def frozen_states(
    forward: Forward,
    examples: Shard,
    folder: Path,
    *,
    pad_id: int,
    tokens_per_batch: int,
    advance: Callable[[int], None],
) -> FrozenStates:
    """Those of an earlier start of the same run where they are whole, else computed now.

    Args:
        forward: of a model with frozen layers at the bottom.
        examples: what the run trains on.
        folder: the run's own.
        pad_id: a token id for padding.
        tokens_per_batch: padded tokens of one forward pass, at most.
        advance: told how many tokens were read since the last call.

    Raises:
        OSError: there is no room for the file.
    """
    assert forward.num_frozen > 0, "there is nothing frozen to keep"
    alike = first_alike(examples)
    different, places = np.unique(alike, return_inverse=True)
    once = examples.select(different.tolist())
    ends = np.cumsum(once.lengths)
    size = int(ends[-1]), int(forward.model.config.hidden_size)
    key = _key(forward, once, tokens_per_batch)
    path = folder / _STATES
    if not _whole(folder, key):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FACTS).unlink(missing_ok=True)
        _reserve(path, size[0] * size[1] * forward.dtype.itemsize)
        _fill(_map(path, size, forward.dtype), forward, once, pad_id, tokens_per_batch, advance)
        facts = {"key": key, "digest": file_digest(path)}
        (folder / _FACTS).write_text(json.dumps(facts))
    starts = (ends - once.lengths)[places]
    return FrozenStates(_map(path, size, forward.dtype), starts, np.asarray(examples.lengths))


def _fill(
    states: Tensor,
    forward: Forward,
    examples: Shard,
    pad_id: int,
    tokens_per_batch: int,
    advance: Callable[[int], None],
) -> None:
    device = forward.model.device
    ends = np.cumsum(examples.lengths)
    for part in length_batches(examples.lengths, tokens_per_batch):
        batch = collate([examples[index] for index in part], pad_id)
        with torch.no_grad():
            border = forward.border(batch.ids.to(device)).cpu()
        for row, index in enumerate(part):
            length = int(examples.lengths[index])
            states[int(ends[index]) - length : int(ends[index])] = border[row, :length]
        advance(int(examples.lengths[list(part)].sum()))


def _key(forward: Forward, examples: Shard, tokens_per_batch: int) -> str:
    """SHA-256 of all that the states follow from: frozen weights, sequences, arithmetic."""
    base = forward.model.base_model
    arithmetic = forward.dtype, forward.num_frozen, forward.compiled, tokens_per_batch
    found = hashlib.sha256(f"{arithmetic} {forward.model.device.type}".encode())
    frozen = [base.embed_tokens, *decoder_layers(forward.model)[: forward.num_frozen]]
    for parameter in (each for module in frozen for each in module.parameters()):
        found.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    # Where each begins and ends: one stream may be cut into blocks of another size.
    found.update(np.ascontiguousarray(examples.lengths).data)
    for index in range(len(examples)):
        found.update(np.ascontiguousarray(examples.stored(index)[0]).data)
    return found.hexdigest()


def _whole(folder: Path, key: str) -> bool:
    try:
        facts = json.loads((folder / _FACTS).read_text())
        return bool(facts["key"] == key and facts["digest"] == file_digest(folder / _STATES))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _reserve(path: Path, size: int) -> None:
    """Take the room at once: a mapped file that finds the disk full would kill the process."""
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(
            f"{path}: no room for {size / 2**20:.0f} MiB of frozen layers' output ({error}); make "
            "room and run again, or set training.frozen_cache: never"
        ) from error


def _map(path: Path, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    flat = torch.from_file(str(path), shared=True, size=size[0] * size[1], dtype=dtype)
    return flat.view(size)
