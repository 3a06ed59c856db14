"""The objective: −Σ log P(r_t | r_<t, H), on the response's tokens and their end only.

A lifelong strategy may add terms of its own to it, by a `Regularizer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from dialogue.forward import Forward
from dialogue.packing import Batch


class Regularizer(Protocol):
    """What a lifelong strategy adds to the response loss."""

    def reads(self, indices: tuple[int, ...]) -> Sequence[NDArray[np.bool_]] | None:
        """Of each of these examples the tokens [T] that it is shown the logits for.

        The first token has none. None where it is never shown any.
        """

    def on_batch(self, logits: Tensor, indices: tuple[int, ...]) -> Tensor | None:
        """Nats, summed over the micro-batch [scalar], added to its summed response loss.

        Args:
            logits: fp32 [R, V] for the R tokens that it `reads`, in their order.
            indices: the examples in the micro-batch.
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

    The first is a scalar to differentiate. Logits exist all at once only where the regularizer
    reads them, which the batch is collated with.
    """
    states, read = forward.states(batch, border), batch.read
    if read is None:
        total = forward.loss(states, batch.targets)
        return total, float(total.detach())
    assert regularizer is not None, "logits are read by a regularizer"
    logits, targets = forward.logits(states[read]), batch.targets[read]
    total = functional.cross_entropy(logits, targets, reduction="sum")
    if not read.all():
        total = total + forward.loss(states[~read], batch.targets[~read])
    extra = regularizer.on_batch(logits, indices)
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
