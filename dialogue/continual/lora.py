"""Orthogonal low-rank adapters, one set per domain, merged after the round (Wang et al. 2023).

ΔW = α/r · B A. The rows of A span what a domain changes of its inputs; to the loss comes
λ · Σ ‖A_earlier Aᵀ‖², so that a domain writes where the earlier ones did not (O-LoRA,
arXiv:2310.14152, equation 8). What is remembered are the rows of A, in bf16.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dialogue.continual.memory import Memory
from dialogue.continual.strategy import Round, Strategy
from dialogue.freezing import adapter_inputs, add_adapters, merge_adapters
from dialogue.objective import Regularizer
from dialogue.shards import Shard

_NAME = "lora"
_STORED = torch.bfloat16


class Lora(Strategy):
    """Only adapters learn, at right angles to those of the earlier domains."""

    def __init__(self, lesson: Round) -> None:
        super().__init__(lesson)
        self._learned: dict[str, Tensor] = {}

    def prepare(self) -> None:
        """Put adapters into every linear layer that would have learned."""
        settings = self.round.settings
        add_adapters(
            self.round.model, settings.lora.rank, settings.lora.alpha, settings.training.seed
        )
        earlier = self.round.memory.of(_NAME)
        kept = [*adapter_inputs(self.round.model).values(), *earlier.values()]
        needed = sum(value.numel() for value in kept) * _STORED.itemsize
        if needed > settings.lora.max_bytes:
            raise ValueError(
                f"finetune.lora.max_bytes is {settings.lora.max_bytes}, but the adapters of this "
                f"domain and of those before it need {needed}: raise it, or lower "
                "finetune.lora.rank"
            )

    def regularizer(self, examples: Shard) -> Regularizer | None:  # noqa: ARG002
        """What is lost by overlapping with the earlier domains."""
        earlier = self.round.memory.of(_NAME)
        return Overlap(earlier, self.round.settings.lora.orthogonality) if earlier else None

    def merge(self) -> None:
        """Add what was learned to the weights."""
        rows = adapter_inputs(self.round.model)
        self._learned = {name: value.detach().clone() for name, value in rows.items()}
        merge_adapters(self.round.model)

    def remember(self, memory: Memory) -> Memory:
        """The rows of A of all domains, one below the other; of frozen layers as they came."""
        earlier = self.round.memory.of(_NAME)
        rows = {
            name: torch.cat(
                [*([earlier[name]] if name in earlier else []), value.to("cpu", _STORED)]
            )
            for name, value in self._learned.items()
        }
        return memory.with_tensors(_NAME, earlier | rows)


class Overlap(Regularizer):
    """λ · Σ_layers ‖A_earlier Aᵀ‖²: 0 where no row of A points along an earlier domain's."""

    def __init__(self, earlier: Mapping[str, Tensor], weight: float) -> None:
        self._earlier, self._weight = dict(earlier), weight

    def on_step(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """The overlap, a scalar."""
        terms = [
            ((self._earlier[name].to(rows.device, rows.dtype) @ rows.T) ** 2).sum()
            for name, rows in parameters.items()
            if name in self._earlier
        ]
        return self._weight * torch.stack(terms).sum() if terms else None
