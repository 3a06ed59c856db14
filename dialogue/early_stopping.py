"""Early stopping: training ends when the held-out loss does, at the weights that had the lowest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dialogue.forward import Forward
from dialogue.packing import collate, length_batches
from dialogue.shards import Shard

HELD_OUT = "held_out_loss"
_FILE = "lowest.safetensors"


class EarlyStopping:
    """Measures the held-out dialogues after every epoch and keeps the best weights on disk.

    What it knows it reads from the curve, so that a resumed run decides as the undisturbed one.
    """

    def __init__(
        self, forward: Forward, held_out: Shard, patience: int, folder: Path, pad_id: int
    ) -> None:
        self._forward, self._held_out = forward, held_out
        self._patience, self._folder, self._pad_id = patience, folder, pad_id

    def measure(self, tokens_per_batch: int) -> float:
        """Nats a supervised token of the held-out dialogues."""
        nats, count = 0.0, 0
        for part in length_batches(self._held_out.lengths, tokens_per_batch):
            batch = collate([self._held_out[index] for index in part], self._pad_id)
            batch = batch.to(self._forward.model.device)
            with torch.no_grad():
                states = self._forward.states(batch)
                nats += float(self._forward.loss(states, batch.targets))
            count += len(batch.targets)
        return nats / count

    def keep(self, losses: Sequence[float], learning: Mapping[str, nn.Parameter]) -> None:
        """Keep the weights where the newest of the losses is the lowest."""
        if losses[-1] <= min(losses):
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = self._folder / f".{_FILE}"
            weights = {n: p.detach().cpu().contiguous() for n, p in learning.items()}
            save_file(weights, partial)
            partial.replace(self._folder / _FILE)

    def is_over(self, losses: Sequence[float]) -> bool:
        """Whether so many epochs in a row brought nothing lower."""
        before = min(losses[: -self._patience], default=math.inf)
        return len(losses) > self._patience and min(losses[-self._patience :]) >= before

    def restore(self, learning: Mapping[str, nn.Parameter]) -> None:
        """Go back to the best weights, in place."""
        best = load_file(self._folder / _FILE)
        with torch.no_grad():
            for name, parameter in learning.items():
                parameter.copy_(best[name])
