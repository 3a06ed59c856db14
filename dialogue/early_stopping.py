"""Early stopping: training ends when the held-out loss does, at the weights that had the lowest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dialogue.distributed import is_first, place, share, summed, wait, whole
from dialogue.packing import collate, length_batches
from dialogue.shards import Shard
from dialogue.writing import named_where_it_fails

HELD_OUT = "held_out_loss"
_FILE = "lowest.safetensors"


class EarlyStopping:
    """Measures the held-out dialogues after every epoch and keeps the best weights on disk.

    What it knows it reads from the curve, so that a resumed run decides as the undisturbed one.
    """

    def __init__(
        self, objective: nn.Module, held_out: Shard, patience: int, folder: Path, pad_id: int
    ) -> None:
        self._objective, self._held_out = objective, held_out
        self._patience, self._folder, self._pad_id = patience, folder, pad_id

    def measure(self, tokens_per_batch: int) -> float:
        """Nats a supervised token of the held-out dialogues."""
        nats, count = 0.0, 0
        device = next(self._objective.parameters()).device
        was_training = self._objective.training
        self._objective.train(False)
        for part in length_batches(self._held_out.lengths, tokens_per_batch):
            mine, counts = share(part)
            batch = collate([self._held_out[index] for index in mine], self._pad_id).to(device)
            with torch.no_grad():
                nats += self._objective(batch)[1] * counts
            count += len(batch.targets) * counts
        self._objective.train(was_training)
        every, supervised = summed(nats, count)
        return every / supervised

    def keep(self, losses: Sequence[float], learning: Mapping[str, nn.Parameter]) -> None:
        """Keep the weights where the newest of the losses is the lowest."""
        if losses[-1] <= min(losses):
            weights = {n: whole(p.detach()).cpu().contiguous() for n, p in learning.items()}
            if is_first():
                self._write(weights)
            wait()

    def is_over(self, losses: Sequence[float]) -> bool:
        """Whether so many epochs in a row brought nothing lower."""
        before = min(losses[: -self._patience], default=math.inf)
        return len(losses) > self._patience and min(losses[-self._patience :]) >= before

    def restore(self, learning: Mapping[str, nn.Parameter]) -> None:
        """Go back to the best weights, in place."""
        best = load_file(self._folder / _FILE)
        with torch.no_grad():
            for name, parameter in learning.items():
                parameter.copy_(place(parameter, best[name]))

    def _write(self, weights: dict[str, Tensor]) -> None:
        partial = self._folder / f".{_FILE}"
        then = ", training goes on from the last complete checkpoint"
        with named_where_it_fails(self._folder / _FILE, partial, then):
            self._folder.mkdir(parents=True, exist_ok=True)
            save_file(weights, partial)
        partial.replace(self._folder / _FILE)
