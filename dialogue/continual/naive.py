"""Fine-tune on the new domain alone: what every other strategy is measured against."""

from __future__ import annotations

from dialogue.config import Finetune
from dialogue.shards import Shard


class Naive:
    """No rehearsal, no memory."""

    def examples(self, new: Shard, memory: Shard, settings: Finetune) -> Shard:  # noqa: ARG002
        """The new domain."""
        return new

    def remember(self, new: Shard, memory: Shard, settings: Finetune) -> Shard:  # noqa: ARG002
        """Nothing new."""
        return memory
