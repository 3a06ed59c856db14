"""The objective: −Σ log P(r_t | r_<t, H), on the response's tokens and their end only.

A lifelong strategy may add terms of its own to it, by a `Regularizer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from dialogue.forward import Forward
from dialogue.head import Teacher
from dialogue.packing import Batch

Border = Callable[[tuple[int, ...], int], Tensor]
"""The frozen layers' output [B, T, H] of some examples, padded to a width T."""


class Regularizer:
    """What a lifelong strategy adds to the response loss, and takes from it: nothing, so far."""

    labelled: NDArray[np.bool_] | None = None
    """Which of all examples are learned by their own responses, [N]; None: all of them."""
    num_read = 0
    """How many examples a teacher reads, through frozen layers that are the learner's too."""

    def begin(self, border: Border | None) -> None:
        """Before the first step of a run, also of one that goes on.

        Args:
            border: gives the frozen layers' output of some examples; None where it is not kept.
        """

    def reads(self, indices: tuple[int, ...]) -> Sequence[NDArray[np.bool_]] | None:  # noqa: ARG002
        """Of each of these examples the tokens [T] that a teacher has something to say of.

        The first token has none. None where there is no teacher.
        """
        return None

    def teacher(self, indices: tuple[int, ...]) -> Teacher | None:  # noqa: ARG002
        """What it says of the tokens that are read of these examples, in their order."""
        return None

    def on_step(self, parameters: Mapping[str, Tensor]) -> Tensor | None:  # noqa: ARG002
        """Added once per optimizer step to the mean loss [scalar]; the parameters that learn."""
        return None


def summed_loss(
    forward: Forward,
    batch: Batch,
    *,
    border: Tensor | None = None,
    regularizer: Regularizer | None = None,
    indices: tuple[int, ...] = (),
) -> tuple[Tensor, float]:
    """What a micro-batch adds to the loss of its step, and the response's part of it in nats.

    The first is a scalar to differentiate.
    """
    states, read = forward.states(batch, border), batch.read
    if read is None:
        total = forward.loss(states, batch.targets)
        return total, float(total.detach())
    teacher = None if regularizer is None else regularizer.teacher(indices)
    assert teacher is not None, "what is read is read by a teacher"
    total, nats = forward.taught_loss(states[read], batch.targets[read], teacher)
    if not read.all():
        others = forward.loss(states[~read], batch.targets[~read])
        total, nats = total + others, nats + others.detach()
    return total, float(nats)


def negative_log_likelihood(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Nats of every supervised token, fp32 [S], by transformers' own forward pass.

    The definition, which every faster way is held against.
    """
    output = model.base_model(input_ids=batch.ids, use_cache=False)
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    assert head is not None
    logits: Tensor = head(output.last_hidden_state[batch.rows, batch.columns])
    return functional.cross_entropy(logits.float(), batch.targets, reduction="none")
