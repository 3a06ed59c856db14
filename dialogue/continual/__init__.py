"""Lifelong learning: what a round rehearses, and what it remembers for the next."""

from __future__ import annotations

from typing import Protocol

from dialogue.config import Finetune
from dialogue.continual import naive, replay
from dialogue.shards import Shard


class Strategy(Protocol):
    """A way of learning a new domain without losing the earlier ones."""

    def examples(self, new: Shard, memory: Shard, settings: Finetune) -> Shard:
        """What the round trains on, given the new domain and the memory that came with it."""

    def remember(self, new: Shard, memory: Shard, settings: Finetune) -> Shard:
        """The memory that leaves with the model."""


STRATEGIES: dict[str, Strategy] = {"naive": naive.Naive(), "replay": replay.Replay()}
