"""Choices that are decided by a text: the same on every machine and Python."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A sequence of choices from SHA-256 over a seed text and the choice's number."""

    def __init__(self, seed: str) -> None:
        """Start the sequence that belongs to `seed`."""
        self._seed = seed
        self._num_thrown = 0

    def below(self, limit: int) -> int:
        """A number from 0 up to, without, `limit`."""
        digest = hashlib.sha256(f"{self._seed}\x1f{self._num_thrown}".encode()).digest()
        self._num_thrown += 1
        return int.from_bytes(digest[:8]) % limit

    def between(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All items in a drawn order."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(len(rest))]
