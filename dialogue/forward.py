"""The forward pass of the response loss, with nothing in it that the loss does not need.

The model stays transformers' own: its parameters are read where they lie, in fp32, and cast for
the matrix products. What is left out is work without a use: logits where there is no target, the
last layer's MLP and the final norm where there is none, and the frozen layers when what comes out
of them is known already. Projections of one input are one product; under compilation attention is
written out, which is faster than the fused kernel for short sequences on a CPU and slower on
anything else. Shapes: B sequences, T tokens, S supervised positions, H hidden size, V vocabulary.
"""

from __future__ import annotations

import functools
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedModel

from dialogue.head import summed_nats
from dialogue.model import Precision, autocast
from dialogue.packing import Batch

_WRITTEN_OUT_TOKENS = 512
"""Longest sequence whose attention is written out: beyond it the scores outgrow the caches."""

_PROJECTIONS = (
    *(f"self_attn.{side}_proj" for side in "qkvo"),
    *(f"mlp.{side}_proj" for side in ("gate", "up", "down")),
)


class Forward:
    """From token ids, or from the states below the layers that learn, to the response loss.

    This form asks transformers for the whole forward pass; `LlamaForward` is the lean one.
    """

    num_frozen = 0
    """Layers at the bottom that nothing below or in them teaches: their output can be kept."""

    def __init__(self, model: PreTrainedModel, precision: Precision) -> None:
        self.model, self.precision = model, precision
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32

    def states(self, batch: Batch, border: Tensor | None = None) -> Tensor:
        """The normed last hidden states at the supervised positions, [S, H].

        Args:
            batch: what to read.
            border: `border(batch.ids)`, where it is known.
        """
        assert border is None, "only a model with frozen layers has a border"
        with autocast(self.precision, batch.ids.device):
            output = self.model.base_model(input_ids=batch.ids, use_cache=False)
        hidden: Tensor = output.last_hidden_state
        return hidden[batch.rows, batch.columns]

    def border(self, ids: Tensor) -> Tensor:
        """The states [B, T, H] that the lowest learning layer reads, in the arithmetic's type."""
        raise NotImplementedError

    def logits(self, states: Tensor) -> Tensor:
        """fp32 logits [S, V] of states [S, H]."""
        head = self._head
        bias = None if head.bias is None else head.bias.to(self.dtype)
        return functional.linear(states.to(self.dtype), head.weight.to(self.dtype), bias).float()

    def loss(self, states: Tensor, targets: Tensor) -> Tensor:
        """Nats of all targets [S], summed; without a bias, the logits never exist all at once."""
        if self._head.bias is not None:
            return functional.cross_entropy(self.logits(states), targets, reduction="sum")
        return summed_nats(states.to(self.dtype), self._head.weight, targets)

    @property
    def _head(self) -> nn.Linear:
        head = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        assert isinstance(head, nn.Linear)
        return head


class LlamaForward(Forward):
    """The lean form, for models of transformers' Llama class.

    Args:
        model: its parameters' `requires_grad` says which layers are frozen, now and for good.
        precision: of the matrix products.
        compiled: whether torch compiles the layers.
    """

    def __init__(
        self, model: LlamaForCausalLM, precision: Precision, *, compiled: bool = False
    ) -> None:
        super().__init__(model, precision)
        self.num_frozen = frozen_layers(model)
        written_out = compiled and model.device.type == "cpu"
        self._layer = _compiled(_layer) if compiled else _layer
        self._written_out = _WRITTEN_OUT_TOKENS if written_out else 0

    def states(self, batch: Batch, border: Tensor | None = None) -> Tensor:  # noqa: D102
        base: Any = self.model.base_model
        if border is None:
            border = self.border(batch.ids)
        hidden = border.float()
        layers = base.layers[self.num_frozen :]
        rotation = self._rotation(hidden)
        for layer in layers[:-1]:
            hidden = self._run(layer, hidden, rotation)
        if len(layers):
            hidden = self._run(layers[-1], hidden, rotation, (batch.rows, batch.columns))
        else:
            hidden = hidden[batch.rows, batch.columns]
        return _normed(hidden, base.norm.weight, base.norm.variance_epsilon)

    def border(self, ids: Tensor) -> Tensor:  # noqa: D102
        base: Any = self.model.base_model
        hidden: Tensor = base.embed_tokens(ids)
        rotation = self._rotation(hidden)
        for layer in base.layers[: self.num_frozen]:
            hidden = self._run(layer, hidden, rotation)
        # Rounded whether it is kept or not: a kept border gives the loss that a new one gives.
        return hidden.to(self.dtype) if self.num_frozen else hidden

    def _rotation(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine [T, head size] of the rotary positions (Su et al. 2021)."""
        positions = torch.arange(hidden.shape[1], device=hidden.device)[None]
        base: Any = self.model.base_model
        cosine, sine = base.rotary_emb(hidden, positions)
        return cosine[0], sine[0]

    def _run(
        self,
        layer: nn.Module,
        hidden: Tensor,
        rotation: tuple[Tensor, Tensor],
        places: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        written_out = hidden.shape[1] <= self._written_out
        return self._layer(layer, hidden, rotation, places, self.dtype, written_out)


def choose_forward(model: PreTrainedModel, precision: Precision, *, compiled: bool) -> Forward:
    """The lean form where the model allows it, else transformers' own."""
    if is_lean(model):
        assert isinstance(model, LlamaForCausalLM)
        return LlamaForward(model, precision, compiled=compiled)
    return Forward(model, precision)


def is_lean(model: PreTrainedModel) -> bool:
    """Whether `LlamaForward` computes what the model computes: plain Llama, nothing random."""
    config = model.config
    return (
        type(model) is LlamaForCausalLM
        and config.hidden_act == "silu"
        and not config.attention_bias
        and not config.mlp_bias
        and not config.attention_dropout
        # Adapters and quantization put other modules in the place of some projection.
        and all(
            type(layer.get_submodule(name)) is nn.Linear
            for layer in decoder_layers(model)
            for name in _PROJECTIONS
        )
    )


def frozen_layers(model: PreTrainedModel) -> int:
    """How many of the lowest layers neither learn nor stand above something that learns."""
    embeddings = model.get_input_embeddings()
    if any(parameter.requires_grad for parameter in embeddings.parameters()):
        return 0
    layers = decoder_layers(model)
    for number, layer in enumerate(layers):
        if any(parameter.requires_grad for parameter in layer.parameters()):
            return number
    return len(layers)


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The layers, the lowest first."""
    layers = model.base_model.layers
    assert isinstance(layers, nn.ModuleList)
    return layers


def can_compile() -> bool:
    """Whether torch finds the C++ compiler that it needs on a CPU."""
    return torch.cuda.is_available() or any(map(shutil.which, ("g++", "clang++", "c++")))


@functools.cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Any]:
    # Equal sizes by chance must not become one size, nor kernels depend on which batch came
    # first: a resumed run compiles what the undisturbed one did.
    torch.fx.experimental._config.use_duck_shape = False
    torch._dynamo.config.recompile_limit = 64
    compiled = torch.compile(function, dynamic=True)

    @functools.wraps(function)
    def quiet(*arguments: Any) -> Tensor:
        with warnings.catch_warnings():
            # Tracing looks at the gradient of every input, and torch warns of itself.
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor")
            return compiled(*arguments)

    return quiet


def _layer(
    layer: Any,
    hidden: Tensor,
    rotation: tuple[Tensor, Tensor],
    places: tuple[Tensor, Tensor] | None,
    dtype: torch.dtype,
    written_out: bool,
) -> Tensor:
    """One decoder layer: hidden fp32 [B, T, H] to the same, or to [S, H] at `places`."""
    attention, mlp = layer.self_attn, layer.mlp
    norm = layer.input_layernorm
    inner = _normed(hidden, norm.weight, norm.variance_epsilon).to(dtype)
    mixed = _attention(attention, inner, rotation, written_out)
    if places is not None:
        mixed, hidden = mixed[places], hidden[places]
    hidden = hidden + functional.linear(mixed, attention.o_proj.weight.to(dtype)).float()
    norm = layer.post_attention_layernorm
    inner = _normed(hidden, norm.weight, norm.variance_epsilon).to(dtype)
    both = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).to(dtype)
    gate, up = functional.linear(inner, both).chunk(2, dim=-1)
    inner = (functional.silu(gate.float()) * up.float()).to(dtype)
    return hidden + functional.linear(inner, mlp.down_proj.weight.to(dtype)).float()


def _attention(
    attention: Any, inner: Tensor, rotation: tuple[Tensor, Tensor], written_out: bool
) -> Tensor:
    """Causal grouped-query attention before its output projection, [B, T, heads · head size]."""
    num_rows, num_tokens, _ = inner.shape
    size = attention.head_dim
    weights = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
    sizes = [weight.shape[0] for weight in weights]
    joined = functional.linear(inner, torch.cat(weights).to(inner.dtype))
    query, key, value = (
        part.view(num_rows, num_tokens, -1, size).transpose(1, 2)
        for part in torch.split(joined, sizes, dim=-1)
    )
    query, key = _rotated(query, rotation), _rotated(key, rotation)
    if written_out:
        groups = query.shape[1] // key.shape[1]
        query = query.reshape(num_rows, key.shape[1], groups, num_tokens, size)
        scores = (query @ key.unsqueeze(2).transpose(-1, -2)).float() * attention.scaling
        places = torch.arange(num_tokens, device=inner.device)
        scores = scores.masked_fill(places[None] > places[:, None], float("-inf"))
        mixed = (torch.softmax(scores, dim=-1).to(inner.dtype) @ value.unsqueeze(2)).flatten(1, 2)
    else:
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            is_causal=True,
            scale=attention.scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    return mixed.transpose(1, 2).reshape(num_rows, num_tokens, -1)


def _rotated(states: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cosine, sine = rotation
    first, second = states.float().chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (states.float() * cosine + turned * sine).to(states.dtype)


def _normed(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root-mean-square norm (Zhang & Sennrich 2019), fp32."""
    hidden = hidden.float()
    normed: Tensor = weight * (
        hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + epsilon)
    )
    return normed
