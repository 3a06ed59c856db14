"""The forward pass of the response loss, with nothing in it that the loss does not need.

The model stays transformers' own: its parameters are read where they lie, in fp32, and cast for
the matrix products. What is left out is work without a use: logits where there is no target, the
last layer's MLP and the final norm where there is none, and the frozen layers when what comes out
of them is known already. Projections of one input are one product, and torch may compile what
stands before and after attention, once for all layers. Shapes: B sequences, T tokens, S supervised
positions, H hidden size, V vocabulary; of attention, K key heads, G queries' heads to each, D.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedModel

from dialogue.attention import causal_attention
from dialogue.compilation import compiled as compiled_once
from dialogue.head import OutputLayer, Teacher, summed_nats, taught_nats
from dialogue.llama import oddity
from dialogue.model import Precision, autocast
from dialogue.packing import Batch


class Forward:
    """From token ids, or from the states below the layers that learn, to the response loss.

    This form asks transformers for the whole forward pass; `LlamaForward` is the lean one.
    """

    num_frozen = 0
    """Layers at the bottom that nothing below or in them teaches: their output can be kept."""
    compiled = False

    def __init__(self, model: PreTrainedModel, precision: Precision) -> None:
        self.model, self.precision = model, precision
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        assert isinstance(head, nn.Linear)
        self._head = head
        # A frozen one is cast once: 28 M weights of SmolLM2's shape, more than its top layers have.
        # In shards it is whole only within a step.
        whole = not self._output_layer.learns and not isinstance(head.weight, DTensor)
        self._kept = self._output_layer.to(self.dtype) if whole else None

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

    def loss(self, states: Tensor, targets: Tensor) -> Tensor:
        """Nats of all targets [S], summed; the logits never exist all at once."""
        return summed_nats(states.to(self.dtype), self.layer, targets, compile_it=self.compiled)

    def taught_loss(
        self, states: Tensor, targets: Tensor, teacher: Teacher
    ) -> tuple[Tensor, Tensor]:
        """As `taught_nats`, which see."""
        return taught_nats(states.to(self.dtype), self.layer, targets, teacher)

    @property
    def layer(self) -> OutputLayer:
        """The output layer; in the type of the products where it is frozen."""
        return self._kept or self._output_layer

    @property
    def _output_layer(self) -> OutputLayer:
        return OutputLayer(self._head.weight, self._head.bias)


class LlamaForward(Forward):
    """The lean form, for models of transformers' Llama class without an `oddity`.

    Args:
        model: its parameters' `requires_grad` says which layers are frozen, now and for good.
        precision: of the matrix products.
        compiled: whether torch compiles the layers.
    """

    def __init__(
        self, model: LlamaForCausalLM, precision: Precision, *, compiled: bool = False
    ) -> None:
        super().__init__(model, precision)
        self.num_frozen, self.compiled = frozen_layers(model), compiled
        self._before = compiled_once(_before) if compiled else _before
        self._after = compiled_once(_after) if compiled else _after

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
        """Cosine and sine [T, D / 2] of the rotary positions (Su et al. 2021)."""
        positions = torch.arange(hidden.shape[1], device=hidden.device)[None]
        base: Any = self.model.base_model
        half = base.layers[0].self_attn.head_dim // 2
        cosine, sine = base.rotary_emb(hidden, positions)
        return cosine[0, :, :half], sine[0, :, :half]

    def _run(
        self,
        layer: nn.Module,
        hidden: Tensor,
        rotation: tuple[Tensor, Tensor],
        places: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        query, key, value = self._before(layer, hidden, rotation, self.dtype)
        mixed = causal_attention(query, key, value, compile_it=self.compiled)
        return self._after(layer, hidden, mixed, places, self.dtype)


def choose_forward(model: PreTrainedModel, precision: Precision, *, compiled: bool) -> Forward:
    """The lean form where the model allows it, else transformers' own."""
    if not oddity(model, learning=True):
        assert isinstance(model, LlamaForCausalLM)
        return LlamaForward(model, precision, compiled=compiled)
    return Forward(model, precision)


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


def _before(
    layer: Any, hidden: Tensor, rotation: tuple[Tensor, Tensor], dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """What attention reads of hidden [B, T, H]: scaled query [B, K, G, T, D], key, value."""
    attention, norm = layer.self_attn, layer.input_layernorm
    num_rows, num_tokens, _ = hidden.shape
    inner = _normed(hidden, norm.weight, norm.variance_epsilon).to(dtype)
    weights = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
    joined = functional.linear(inner, torch.cat([weight.to(dtype) for weight in weights]))
    sizes = [weight.shape[0] for weight in weights]
    query, key, value = (
        part.view(num_rows, num_tokens, -1, attention.head_dim).transpose(1, 2)
        for part in torch.split(joined, sizes, dim=-1)
    )
    cosine, sine = rotation
    scale = attention.scaling
    turned: Callable[..., Tensor] = _Rotated.apply
    query = turned(query, cosine * scale, sine * scale).contiguous()
    key, value = turned(key, cosine, sine).contiguous(), value.contiguous()
    return query.view(num_rows, key.shape[1], -1, num_tokens, attention.head_dim), key, value


def _after(
    layer: Any,
    hidden: Tensor,
    mixed: Tensor,
    places: tuple[Tensor, Tensor] | None,
    dtype: torch.dtype,
) -> Tensor:
    """From what attention mixed [B, K, G, T, D] to the layer's output, [S, H] at `places`."""
    attention, mlp, norm = layer.self_attn, layer.mlp, layer.post_attention_layernorm
    mixed = mixed.permute(0, 3, 1, 2, 4).flatten(2)
    if places is not None:
        mixed, hidden = mixed[places], hidden[places]
    hidden = hidden + functional.linear(mixed, attention.o_proj.weight.to(dtype)).float()
    inner = _normed(hidden, norm.weight, norm.variance_epsilon).to(dtype)
    both = torch.cat([mlp.gate_proj.weight.to(dtype), mlp.up_proj.weight.to(dtype)])
    gated: Callable[[Tensor], Tensor]
    gated = _Gated.apply if torch.compiler.is_compiling() else _gated
    inner = gated(functional.linear(inner, both))
    return hidden + functional.linear(inner, mlp.down_proj.weight.to(dtype)).float()


class _Rotated(torch.autograd.Function):
    """States [..., T, D], turned by their positions and scaled.

    The gradient is turned back. Torch's own would pad each half to the whole, and add them.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return _rotated(states, cosine, sine)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cosine, sine = ctx.saved_tensors
        return _rotated(gradients[0], cosine, -sine), None, None


def _rotated(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Of [..., T, D], by angles of [T, D / 2]; sums are fp32."""
    first, second = states.float().chunk(2, dim=-1)
    halves = (first * cosine - second * sine, second * cosine + first * sine)
    return torch.cat([half.to(states.dtype) for half in halves], dim=-1)


class _Gated(torch.autograd.Function):
    """As `_gated`, for torch to compile: its own gradient takes the exponential twice."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        return _gated(both)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        gate, up = both.float().chunk(2, dim=-1)
        gradient, share = gradients[0].float(), torch.sigmoid(gate)
        value = gate * share
        to_gate = gradient * up * (share + value * (1.0 - share))
        return torch.cat([part.to(both.dtype) for part in (to_gate, gradient * value)], dim=-1)


def _gated(both: Tensor) -> Tensor:
    """Silu(gate) · up of both [..., 2 I], side by side (SwiGLU, Shazeer 2020, arXiv:2002.05202)."""
    gate, up = both.chunk(2, dim=-1)
    return (functional.silu(gate.float()) * up.float()).to(both.dtype)


def _normed(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root-mean-square norm (Zhang & Sennrich 2019), fp32."""
    hidden = hidden.float()
    normed: Tensor = weight * (
        hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + epsilon)
    )
    return normed
