from __future__ import annotations

import numpy as np
import pytest

from dialogue.sorted_unique import sorted_unique


@pytest.mark.parametrize(
    "values",
    [[], [7], [3, 1, 3, 2, 1], [2**64 - 1, 0, 2**64 - 1], list(range(100, 0, -1)) * 3],
)
def test_each_value_once_in_order(values: list[int]) -> None:
    given = np.array(values, np.uint64)
    found = sorted_unique(given)
    assert found.tolist() == sorted(set(values))
    assert found.dtype == np.uint64
    assert given.tolist() == values
