"""The objective: −Σ log P(r_t | r_<t, H), on the response's tokens and their end only.

Shapes: B sequences, T tokens, S supervised positions, H hidden size, V vocabulary.
"""

from __future__ import annotations

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from dialogue.packing import Batch

_CHUNK = 1_024


def negative_log_likelihood(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Nats of every supervised token, fp32 [S].

    Logits [S, V] are computed at supervised positions only, in chunks under no_grad.
    """
    hidden = supervised_states(model, batch)
    if torch.is_grad_enabled():
        return _cross_entropy(model, hidden, batch.targets)
    parts = [
        _cross_entropy(model, hidden[start : start + _CHUNK], batch.targets[start : start + _CHUNK])
        for start in range(0, len(hidden), _CHUNK)
    ]
    return torch.cat(parts)


def supervised_states(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """The last hidden states at the supervised positions, [S, H]."""
    output = model.base_model(input_ids=batch.ids, use_cache=False)
    hidden: torch.Tensor = output.last_hidden_state
    return hidden[batch.rows, batch.columns]


def _cross_entropy(
    model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    assert head is not None
    logits = head(hidden)
    return functional.cross_entropy(logits.float(), targets, reduction="none")
