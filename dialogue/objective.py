"""The objective: −Σ log P(r_t | r_<t, H), on the response's tokens and their end only.

A lifelong strategy may add terms of its own to it, by a `Regularizer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from dialogue.forward import Forward
from dialogue.packing import Batch


class Regularizer(Protocol):
    """What a lifelong strategy adds to the response loss."""

    def on_batch(self, logits: Tensor, batch: Batch, indices: tuple[int, ...]) -> Tensor | None:
        """Nats, summed over the micro-batch [scalar], added to its summed response loss.

        Args:
            logits: fp32 [S, V] at the supervised positions.
            batch: what was read.
            indices: the examples in it.
        """

    def on_step(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Added once per optimizer step to the mean loss [scalar]; the parameters that learn."""


def summed_loss(
    forward: Forward,
    batch: Batch,
    *,
    border: Tensor | None = None,
    regularizer: Regularizer | None = None,
    indices: tuple[int, ...] = (),
) -> tuple[Tensor, float]:
    """What a micro-batch adds to the loss of its step, and the response's part of it in nats.

    The first is a scalar to differentiate. Logits [S, V] exist all at once only where a
    regularizer asks for them.
    """
    states = forward.states(batch, border)
    if regularizer is None:
        total = forward.loss(states, batch.targets)
        return total, float(total.detach())
    logits = forward.logits(states)
    total = functional.cross_entropy(logits, batch.targets, reduction="sum")
    extra = regularizer.on_batch(logits, batch, indices)
    return total if extra is None else total + extra, float(total.detach())


def negative_log_likelihood(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Nats of every supervised token, fp32 [S], by transformers' own forward pass.

    The definition, which every faster way is held against.
    """
    output = model.base_model(input_ids=batch.ids, use_cache=False)
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    assert head is not None
    logits: Tensor = head(output.last_hidden_state[batch.rows, batch.columns])
    return functional.cross_entropy(logits.float(), batch.targets, reduction="none")
