"""Which parameters learn: top layers, embeddings, norms, names, or low-rank adapters beside them.

Everything else stays bit-equal. Adapters are PEFT's; they are merged before a model is saved, and
then change the weights they stand beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel

from dialogue.config import Freeze

_ADAPTER = "default"
_INPUTS = f".lora_A.{_ADAPTER}.weight"


@dataclass(frozen=True, slots=True)
class Frozen:
    """How much of a model learns, in parameters."""

    num_parameters: int
    num_trainable: int

    @property
    def trainable_share(self) -> float:
        """Between 0 and 1."""
        return self.num_trainable / self.num_parameters


def freeze(model: PreTrainedModel, settings: Freeze, seed: int = 0) -> Frozen:
    """Mark what learns in place; with `lora`, adapters learn in its stead until `merge_adapters`.

    Args:
        model: any causal language model with `layers`.
        settings: what is frozen.
        seed: of the adapters' first values.

    Raises:
        ValueError: more layers are to learn than there are, a pattern names no parameter, or
            nothing is left to learn.
    """
    _mark_layers(model, settings)
    _freeze_names(model, settings.names)
    if settings.norms:
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.requires_grad_(False)
    if settings.lora is not None:
        add_adapters(model, settings.lora.rank, settings.lora.alpha, seed)
    report = count(model)
    if report.num_trainable == 0:
        raise ValueError("freeze: nothing is left to learn; raise top_layers or free embeddings")
    return report


def count(model: PreTrainedModel) -> Frozen:
    """How much of the model learns as it is marked now."""
    total = sum(parameter.numel() for parameter in model.parameters())
    return Frozen(total, sum(p.numel() for p in model.parameters() if p.requires_grad))


def add_adapters(model: PreTrainedModel, rank: int, alpha: int, seed: int) -> None:
    """Low-rank adapters in every linear layer that learns; from then on only they do.

    The weight acts as W + α/r · B A; B begins at 0, so that the model says what it said. Hu et al.
    2021, arXiv:2106.09685.

    Raises:
        ValueError: no linear layer learns.
    """
    targets = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and module.weight.requires_grad
        and module is not model.get_output_embeddings()  # type: ignore[no-untyped-call]
    ]
    if not targets:
        raise ValueError("freeze: no linear layer is left for adapters; raise top_layers")
    model.requires_grad_(False)
    configuration = LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=targets, lora_dropout=0.0, bias="none"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(configuration, model, _ADAPTER)


def adapter_inputs(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """A of every adapter, [r, inputs], by parameter name."""
    return {name: p for name, p in model.named_parameters() if name.endswith(_INPUTS)}


def merge_adapters(model: PreTrainedModel) -> None:
    """Add every adapter to the weight it stands beside and remove it; without any, do nothing."""
    adapters = [(n, m) for n, m in model.named_modules() if isinstance(m, LoraLayer)]
    for name, module in adapters:
        module.merge(safe_merge=True)
        model.set_submodule(name, module.get_base_layer())


def _mark_layers(model: PreTrainedModel, settings: Freeze) -> None:
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


def _freeze_names(model: PreTrainedModel, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        named = [p for name, p in model.named_parameters() if fnmatchcase(name, pattern)]
        if not named:
            example = next(name for name, _ in model.named_parameters() if "layers" in name)
            raise ValueError(
                f"freeze.names: `{pattern}` fits no parameter; they are called like {example}"
            )
        for parameter in named:
            parameter.requires_grad_(False)
