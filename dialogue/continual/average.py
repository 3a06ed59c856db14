"""Part of the way from the parent to what was learned: a weighted mean of two sets of weights.

θ = θ_parent + a · (θ_learned − θ_parent). Along the straight line between a model and what it was
trained to, the loss on either's data is often low: the mean keeps most of what both know (Wortsman
et al. 2022, WiSE-FT, arXiv:2109.01903; between successive domains Marouf et al. 2024, CoMA,
arXiv:2312.08977). The parent of the first lesson is the base model: nothing else holds to it.
"""

from __future__ import annotations

import torch

from dialogue.continual.strategy import Round, Strategy


class Average(Strategy):
    """The mean of the parent's weights and the learned ones, `weight` on the learned."""

    def __init__(self, lesson: Round) -> None:
        super().__init__(lesson)
        # Made before training, also by a run that goes on from a checkpoint.
        self._parent = {
            name: parameter.detach().clone()
            for name, parameter in lesson.model.named_parameters()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def merge(self) -> None:
        """Go back by the parent's share; frozen weights stay bit-equal."""
        weight = self.round.settings.average.weight
        for name, parameter in self.round.model.named_parameters():
            if name in self._parent:
                parameter.copy_(self._parent[name].to(parameter).lerp(parameter, weight))
