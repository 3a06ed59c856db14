"""Fewer of many: a selection that stays the same while its source grows."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def smallest(items: Iterable[T], limit: int, digest: Callable[[T], str]) -> list[T]:
    """The `limit` items with the smallest digests (hexadecimal), in the order they came.

    What is chosen depends on the items' content alone, so each item that is added later can put
    out one at most. Holds `limit` items at a time.
    """
    # A heap's root is its smallest entry, and the largest digest must go first: so negated.
    heap: list[tuple[int, int, T]] = []
    for index, item in enumerate(items):
        entry = (-int(digest(item), 16), -index, item)
        if len(heap) < limit:
            heapq.heappush(heap, entry)
        elif entry[:2] > heap[0][:2]:
            heapq.heapreplace(heap, entry)
    return [item for _, _, item in sorted(heap, key=lambda entry: -entry[1])]
