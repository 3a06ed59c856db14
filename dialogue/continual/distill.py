"""Distillation from the model before: its distribution is learned beside the responses.

On replayed dialogues this is dark experience replay with labels (Buzzega et al. 2020, DER++), with
the parent itself in place of stored logits; on the new domain's it is learning without forgetting
(Li & Hoiem 2016). The first domain has nobody to learn from.

Shapes: S supervised positions of a micro-batch, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dialogue.continual.strategy import Strategy
from dialogue.forward import Forward, choose_forward
from dialogue.model import choose_device, choose_precision
from dialogue.objective import Regularizer
from dialogue.packing import Batch, collate, supervised_tokens
from dialogue.shards import Shard


class Distill(Strategy):
    """The parent teaches: on what is replayed and on what is new, each with its weight."""

    def regularizer(self, examples: Shard) -> Regularizer | None:
        """The divergence from the parent."""
        settings, num_new = self.round.settings.distill, len(self.round.new)
        if not self.round.memory.learned:
            return None
        weights = np.full(len(examples), settings.replayed)
        weights[:num_new] = settings.new
        # What learns stays marked: the teacher is computed just as the learner is.
        teacher = copy.deepcopy(self.round.model)
        teacher.to(choose_device())  # type: ignore[arg-type]  # the wrapper's types hide it
        teacher.train(False)
        precision = choose_precision(self.round.settings.training.precision)
        forward = choose_forward(teacher, precision, compiled=False)
        return Divergence(forward, examples, weights, settings.temperature, self.round.pad_id)


class Divergence:
    """Σ_s w_s · T² · KL(teacher ‖ student): w by the dialogue that a position belongs to.

    The teacher reads the dialogues of a micro-batch whose weight is not 0, all at once: what it
    says follows from the plan, not from where a run was interrupted.
    """

    def __init__(
        self,
        teacher: Forward,
        examples: Shard,
        weights: NDArray[np.float64],
        temperature: float,
        pad_id: int,
    ) -> None:
        self._teacher, self._examples, self._weights = teacher, examples, weights
        self._temperature, self._pad_id = temperature, pad_id
        self._counts = supervised_tokens(examples)

    def on_batch(self, logits: Tensor, batch: Batch, indices: tuple[int, ...]) -> Tensor | None:  # noqa: ARG002
        """Nats, summed over the micro-batch; `logits` are those of its S positions [S, V]."""
        read = [index for index in indices if self._weights[index] > 0]
        if not read:
            return None
        weights = np.repeat(self._weights[list(indices)], self._counts[list(indices)])
        assert len(weights) == len(logits), "positions stand in the order of their dialogues"
        taught = torch.from_numpy(np.flatnonzero(weights > 0)).to(logits.device)
        divergence = distillation(logits[taught], self._taught_logits(read), self._temperature)
        return (torch.from_numpy(weights).to(divergence)[taught] * divergence).sum()

    def on_step(self, parameters: Mapping[str, Tensor]) -> Tensor | None:  # noqa: ARG002
        """Nothing: what is held is what the model says, whatever its weights."""
        return None

    @torch.no_grad()
    def _taught_logits(self, indices: list[int]) -> Tensor:
        sequences = [self._examples[index] for index in indices]
        batch = collate(sequences, self._pad_id).to(self._teacher.model.device)
        return self._teacher.logits(self._teacher.states(batch))


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)) in nats, [S] from logits [S, V].

    The factor keeps the gradient's size whatever T (Hinton et al. 2015, arXiv:1503.02531). As T
    grows it becomes half the mean square of the difference of centred logits: DER's loss.
    """
    wanted = functional.log_softmax(teacher.float() / temperature, dim=-1)
    found = functional.log_softmax(student.float() / temperature, dim=-1)
    divergence = functional.kl_div(found, wanted, reduction="none", log_target=True).sum(-1)
    return temperature**2 * divergence
