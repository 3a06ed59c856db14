"""Early stopping: training ends when the held-out loss does, at the weights that had the lowest."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from dialogue.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from dialogue.distributed import is_first, place, share, summed, wait, whole
from dialogue.packing import collate, length_batches
from dialogue.shards import Shard

HELD_OUT = "held_out_loss"
_FOLDER = "lowest"


class EarlyStopping:
    """Measures the held-out dialogues after every epoch and keeps the best weights on disk.

    What it knows it reads from the curve, so that a resumed run decides as the undisturbed one.
    The weights lie beside the run's checkpoints and belong to its recipe, as those do.
    """

    def __init__(
        self,
        objective: nn.Module,
        held_out: Shard,
        patience: int,
        checkpoints: Path,
        pad_id: int,
        recipe: str,
    ) -> None:
        self._objective, self._held_out = objective, held_out
        self._patience, self._pad_id = patience, pad_id
        self._checkpoints, self._recipe = checkpoints, recipe
        self._folder = checkpoints / _FOLDER / recipe[:16]

    def measure(self, tokens_per_batch: int, between: Callable[[], None]) -> float:
        """Nats a supervised token of the held-out dialogues.

        Args:
            tokens_per_batch: padded tokens of one pass.
            between: called before each, and may raise.
        """
        nats, count = 0.0, 0
        device = next(self._objective.parameters()).device
        was_training = self._objective.training
        self._objective.train(False)
        try:
            for part in length_batches(self._held_out.lengths, tokens_per_batch):
                between()
                mine, counts = share(part)
                batch = collate([self._held_out[index] for index in mine], self._pad_id).to(device)
                with torch.no_grad():
                    nats += self._objective(batch)[1] * counts
                count += len(batch.targets) * counts
        finally:
            self._objective.train(was_training)
        every, supervised = summed(nats, count)
        return every / supervised

    def keep(
        self, losses: Sequence[float], learning: Mapping[str, nn.Parameter], step: int
    ) -> None:
        """Keep the weights after this step where the newest of the losses is the lowest."""
        if losses[-1] <= min(losses):
            weights = {n: whole(p.detach()).cpu().contiguous() for n, p in learning.items()}
            if is_first():
                save_checkpoint(self._folder, Checkpoint(step, self._recipe, weights, {}, []))
            wait()

    def forget_others(self) -> None:
        """Remove what runs of other recipes kept, once their checkpoints are gone."""
        for other in (self._checkpoints / _FOLDER).glob("*"):
            if other != self._folder:
                shutil.rmtree(other)

    def is_over(self, losses: Sequence[float]) -> bool:
        """Whether so many epochs in a row brought nothing lower."""
        before = min(losses[: -self._patience], default=math.inf)
        return len(losses) > self._patience and min(losses[-self._patience :]) >= before

    def restore(
        self, learning: Mapping[str, nn.Parameter], curve: Sequence[Mapping[str, float]]
    ) -> None:
        """Go back to the weights that had the lowest loss of the curve, in place.

        Raises:
            ValueError: they are missing or damaged.
        """
        measured = [(-row[HELD_OUT], row["step"]) for row in curve if HELD_OUT in row]
        step = int(max(measured)[1])
        best = load_checkpoint(self._folder, self._recipe, whole=self._checkpoints)
        if best is None or best.step != step:
            raise ValueError(
                f"{self._folder}: the weights of step {step}, which had the lowest held-out loss, "
                f"are missing; remove {self._checkpoints} to train anew"
            )
        with torch.no_grad():
            for name, parameter in learning.items():
                parameter.copy_(place(parameter, best.weights[name]))
