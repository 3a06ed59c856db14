"""The Llama family's forward pass in pieces, for inference: what stands around attention.

transformers' modules spend most of a short step on casts, small kernels and bookkeeping. Here the
projections of one input are one product, and every token is one row: padding need not exist. Which
token attends to which is the caller's affair (`kv_cache` for decoding, `metrics.likelihood` for
trees). The weights are the model's own as they are now, cast for the products; sums, norms and
rotations are fp32.

Shapes: N tokens, H hidden size, Q query heads, K key and value heads, D head size, V vocabulary.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedModel

logger = logging.getLogger(__name__)

_FIXED_ROTATIONS = ("default", "linear", "llama3", "yarn")
"""Rotary embeddings whose angles do not depend on how long the sequence is."""
_PROJECTIONS = (
    *(f"self_attn.{side}_proj" for side in "qkvo"),
    *(f"mlp.{side}_proj" for side in ("gate", "up", "down")),
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's weights; `joined` projects to queries, keys and values, `gated` to gate and up.

    `norm` and `mlp_norm` are fp32 [H], the others in the type of the products.
    """

    norm: Tensor
    joined: Tensor
    output: Tensor
    mlp_norm: Tensor
    gated: Tensor
    down: Tensor


class Llama:
    """A Llama ready to read: a snapshot of the model's weights.

    Args:
        model: one without an `oddity`.
        dtype: of the matrix products, and of keys and values.
    """

    def __init__(self, model: LlamaForCausalLM, dtype: torch.dtype) -> None:
        base: Any = model.model
        config: Any = model.config
        attention = base.layers[0].self_attn
        self.dtype, self.device = dtype, model.device
        self.head_size: int = attention.head_dim
        self.num_heads: int = config.num_attention_heads
        self.num_key_value_heads: int = config.num_key_value_heads
        self.scale: float = attention.scaling
        self.layers = [_layer(layer, dtype) for layer in base.layers]
        self._epsilon: float = config.rms_norm_eps
        self._embeddings = base.embed_tokens.weight.detach()
        self._norm = base.norm.weight.detach().float()
        self._head = model.lm_head.weight.detach().to(dtype)
        self._rotary = base.rotary_emb

    def embed(self, ids: Tensor) -> Tensor:
        """fp32 [N, H] of ids [N]; later pieces write into it."""
        return functional.embedding(ids, self._embeddings).float()

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine at positions [N], each fp32 [N, 1, D / 2]."""
        half = self.head_size // 2
        cosine, sine = self._rotary(self._norm, positions[None])
        return cosine[0, :, None, :half], sine[0, :, None, :half]

    def project(
        self, layer: Layer, hidden: Tensor, rotation: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries [N, Q, D], rotated keys [N, K, D] and values [N, K, D]."""
        inner = self._normed(hidden, layer.norm)
        joined = functional.linear(inner, layer.joined).view(len(hidden), -1, self.head_size)
        num_turned = self.num_heads + self.num_key_value_heads
        turned = _rotated(joined[:, :num_turned], rotation)
        return turned[:, : self.num_heads], turned[:, self.num_heads :], joined[:, num_turned:]

    def finish(self, layer: Layer, hidden: Tensor, mixed: Tensor) -> Tensor:
        """What leaves the layer: hidden [N, H] after attention [N, Q, D] and MLP, in place."""
        hidden += functional.linear(mixed.flatten(1), layer.output)
        gated = functional.linear(self._normed(hidden, layer.mlp_norm), layer.gated)
        gate, up = gated.chunk(2, dim=-1)
        hidden += functional.linear(functional.silu(gate).mul_(up), layer.down)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """fp32 [N, V] of the last layer's hidden states [N, H]."""
        return functional.linear(self._normed(hidden, self._norm), self._head).float()

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """Root-mean-square norm (Zhang and Sennrich 2019), in the type of the products."""
        return functional.rms_norm(hidden, weight.shape, weight, self._epsilon).to(self.dtype)


def choose_llama(model: PreTrainedModel) -> Llama | None:
    """The lean form in the arithmetic that surrounds the call; None where only the plain one fits.

    Under autocast the products are of its type, else of the model's own.
    """
    if why := oddity(model, learning=model.training):
        _say_once(f"{why}: read by transformers' own forward pass, not by the faster one of Llamas")
        return None
    assert isinstance(model, LlamaForCausalLM)
    kind = model.device.type
    cast = torch.is_autocast_enabled(kind)
    return Llama(model, torch.get_autocast_dtype(kind) if cast else model.dtype)


def oddity(model: PreTrainedModel, *, learning: bool) -> str:
    """What keeps a model from the lean forms, which compute plain Llamas; empty where nothing does.

    Args:
        model: any causal language model.
        learning: whether it draws at random what it drops, if its configuration says so.
    """
    if type(model) is not LlamaForCausalLM:
        return f"{type(model).__name__} is no LlamaForCausalLM"
    config: Any = model.config
    if config.hidden_act != "silu":
        return f"the model's activation is {config.hidden_act}, not silu"
    if config.attention_bias or config.mlp_bias:
        return "the model's projections have biases"
    if (rotation := config.rope_parameters["rope_type"]) not in _FIXED_ROTATIONS:
        return f"the model's {rotation} rotary positions depend on the length"
    if learning and config.attention_dropout:
        return "the model's attention draws at random (attention_dropout)"
    return _replaced(model)


def _replaced(model: LlamaForCausalLM) -> str:
    """Adapters and quantization put other modules in the place of some."""
    plain: dict[str, type[nn.Module]] = {"model.embed_tokens": nn.Embedding, "lm_head": nn.Linear}
    for number in range(len(model.model.layers)):
        plain |= {f"model.layers.{number}.{name}": nn.Linear for name in _PROJECTIONS}
    for name, kind in plain.items():
        if type(found := model.get_submodule(name)) is not kind:
            there = type(found)
            return f"{there.__module__}.{there.__name__}, such as an adapter, stands for {name}"
    return ""


@functools.cache
def _say_once(message: str) -> None:
    logger.info(message)


def _layer(layer: Any, dtype: torch.dtype) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    joined = [attention.q_proj, attention.k_proj, attention.v_proj]
    return Layer(
        norm=layer.input_layernorm.weight.detach().float(),
        joined=torch.cat([part.weight.detach().to(dtype) for part in joined]),
        output=attention.o_proj.weight.detach().to(dtype),
        mlp_norm=layer.post_attention_layernorm.weight.detach().float(),
        gated=torch.cat([part.weight.detach().to(dtype) for part in (mlp.gate_proj, mlp.up_proj)]),
        down=mlp.down_proj.weight.detach().to(dtype),
    )


def _rotated(states: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """States [N, heads, D] turned by their positions (Su et al. 2021); sums are fp32."""
    cosine, sine = rotation
    first, second = states.chunk(2, dim=-1)
    turned = torch.empty_like(states)
    one, other = turned.chunk(2, dim=-1)
    one.copy_((first * cosine).addcmul_(second, sine, value=-1.0))
    other.copy_((second * cosine).addcmul_(first, sine))
    return turned
