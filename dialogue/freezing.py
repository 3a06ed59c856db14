"""Which parameters learn: top layers, embeddings, norms; everything else stays bit-equal."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from dialogue.config import Freeze


@dataclass(frozen=True, slots=True)
class Frozen:
    """How much of a model learns, in parameters."""

    num_parameters: int
    num_trainable: int

    @property
    def trainable_share(self) -> float:
        """Between 0 and 1."""
        return self.num_trainable / self.num_parameters


def freeze(model: PreTrainedModel, settings: Freeze) -> Frozen:
    """Mark what learns in place.

    Raises:
        ValueError: more layers are to learn than there are, or nothing is left to learn.
    """
    layers = model.base_model.layers
    assert isinstance(layers, nn.ModuleList)
    top = len(layers) if settings.top_layers is None else settings.top_layers
    if top > len(layers):
        raise ValueError(f"freeze.top_layers is {top}, but the model has {len(layers)} layers")
    model.requires_grad_(False)
    for layer in layers[len(layers) - top :]:
        layer.requires_grad_(True)
    model.base_model.norm.requires_grad_(top > 0)
    if not settings.embeddings:
        for embeddings in (
            model.get_input_embeddings(),
            model.get_output_embeddings(),  # type: ignore[no-untyped-call]
        ):
            embeddings.requires_grad_(True)
    if settings.norms:
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.requires_grad_(False)
    total = sum(parameter.numel() for parameter in model.parameters())
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if learning == 0:
        raise ValueError("freeze: nothing is left to learn; raise top_layers or free embeddings")
    return Frozen(total, learning)
