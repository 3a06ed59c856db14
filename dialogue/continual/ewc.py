"""Elastic weight consolidation, online (Kirkpatrick et al. 2017; Schwarz et al. 2018).

To the loss of a token comes λ/2 · Σ_i F_i (θ_i − θ*_i)²: what mattered to the earlier domains is
held where the parent had it. F is the diagonal of the empirical Fisher on response tokens; after
each round F ← γ · F + F_new. Stored in bf16: its 8 bits of mantissa are finer than the estimate.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dialogue.continual.memory import Memory
from dialogue.continual.replay import sample_number
from dialogue.continual.strategy import Strategy
from dialogue.forward import choose_forward
from dialogue.model import Precision, choose_device, choose_precision
from dialogue.objective import Regularizer
from dialogue.packing import collate
from dialogue.shards import Shard

_NAME = "ewc"
_STORED = torch.bfloat16


class Ewc(Strategy):
    """Holds the weights that the earlier domains need."""

    def prepare(self) -> None:
        """See whether the Fisher diagonal fits its bytes."""
        kept = self.round.memory.of(_NAME) | _learning(self.round.model)
        needed = sum(weight.numel() for weight in kept.values()) * _STORED.itemsize
        allowed = self.round.settings.ewc.max_bytes
        if needed > allowed:
            raise ValueError(
                f"finetune.ewc.max_bytes is {allowed}, but what learns, or has learned, needs "
                f"{needed}: raise it, or freeze more of the model"
            )

    def regularizer(self, examples: Shard) -> Regularizer | None:  # noqa: ARG002
        """The pull back to the parent's weights."""
        fisher = self.round.memory.of(_NAME)
        if not fisher:
            return None
        device = choose_device()
        anchors = {
            name: p.detach().to(device, copy=True)
            for name, p in _learning(self.round.model).items()
        }
        return Penalty(fisher, anchors, self.round.settings.ewc.strength)

    def remember(self, memory: Memory) -> Memory:
        """What the earlier domains needed, faded, and what this one does.

        Of weights that are frozen in this round it stays as it came.
        """
        settings = self.round.settings
        asked = sample_number(self.round.new, settings.ewc.max_dialogues)
        precision = choose_precision(settings.training.precision)
        fisher = fisher_diagonal(self.round.model, asked, self.round.pad_id, precision)
        earlier = self.round.memory.of(_NAME)
        for name in fisher.keys() & earlier.keys():
            fisher[name] += settings.ewc.decay * earlier[name].to(fisher[name])
        stored = {name: value.to(_STORED) for name, value in fisher.items()}
        return memory.with_tensors(_NAME, earlier | stored)


class Penalty(Regularizer):
    """λ/2 · Σ_i F_i (θ_i − θ*_i)² over the learning parameters."""

    def __init__(
        self, fisher: Mapping[str, Tensor], anchors: Mapping[str, Tensor], strength: float
    ) -> None:
        device = next(iter(anchors.values())).device
        self._fisher = {n: f.to(device, torch.float32) for n, f in fisher.items() if n in anchors}
        self._anchors, self._strength = anchors, strength

    def on_step(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """The penalty, a scalar."""
        terms = [
            (self._fisher[name] * (weight - self._anchors[name].to(weight.device)) ** 2).sum()
            for name, weight in parameters.items()
            if name in self._fisher
        ]
        return 0.5 * self._strength * torch.stack(terms).sum() if terms else None


def fisher_diagonal(
    model: PreTrainedModel, dialogues: Shard, pad_id: int, precision: Precision
) -> dict[str, Tensor]:
    """Σ_n (∂/∂θ_i Σ_t −log P(r_t | …))² / number of response tokens, by parameter name, fp32.

    The squares are taken dialogue by dialogue: tokens of one dialogue are not independent. Per
    token, so that it is on the scale of the loss. Kirkpatrick et al. 2017, arXiv:1612.00796,
    equation 3; with the labels for draws from the model.
    """
    learning = _learning(model)
    total = {name: torch.zeros_like(weight) for name, weight in learning.items()}
    num_tokens = 0
    forward = choose_forward(model, precision, compiled=False)
    for index in range(len(dialogues)):
        batch = collate([dialogues[index]], pad_id).to(model.device)
        loss = forward.loss(forward.states(batch), batch.targets)
        gradients = torch.autograd.grad(loss, list(learning.values()), allow_unused=True)
        for name, gradient in zip(learning, gradients, strict=True):
            if gradient is not None:
                total[name] += gradient**2
        num_tokens += len(batch.targets)
    return {name: value / max(1, num_tokens) for name, value in total.items()}


def _learning(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
