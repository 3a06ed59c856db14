from __future__ import annotations

import numpy as np

from dialogue.encoding import Encoded
from dialogue.repeats import first_alike
from dialogue.shards import pack


def test_alike_are_equal_tokens_with_equal_masks() -> None:
    one, other = np.array([5, 6, 7]), np.array([5, 6, 8])
    whole, half = np.ones(3, dtype=np.bool_), np.array([False, True, True])
    rows = [
        (one, whole),
        (other, whole),
        (one, half),
        (one, whole),
        (one, half),
        (one[:2], whole[:2]),
    ]
    shard = pack([(f"{i}", "home", Encoded(ids, mask)) for i, (ids, mask) in enumerate(rows)], 300)
    assert first_alike(shard).tolist() == [0, 1, 2, 0, 2, 5]
