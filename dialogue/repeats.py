"""Sequences that stand in a shard more than once, as rehearsed dialogues do."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from dialogue.shards import Shard


def first_alike(examples: Shard) -> NDArray[np.int64]:
    """For each sequence the first that has its tokens and supervised positions, often itself.

    By 128 bits of BLAKE2b, [N].
    """
    first: dict[bytes, int] = {}
    found = np.empty(len(examples), dtype=np.int64)
    for index in range(len(examples)):
        tokens, mask = examples.stored(index)
        content = hashlib.blake2b(np.ascontiguousarray(tokens).data, digest_size=16)
        content.update(np.ascontiguousarray(mask).data)
        found[index] = first.setdefault(content.digest(), index)
    return found
