from __future__ import annotations

import numpy as np
import pytest

from dialogue.sorted_arrays import is_among, sorted_unique


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


@pytest.mark.parametrize("ordered", [[], [5], [0, 3, 2**63, 2**64 - 1]])
def test_what_stands_in_a_sorted_array(ordered: list[int]) -> None:
    values = [2**64 - 1, 5, 0, 4, 5, 2**63]
    found = is_among(np.array(values, np.uint64), np.array(ordered, np.uint64))
    assert found.tolist() == [value in ordered for value in values]
    assert is_among(np.zeros(0, np.uint64), np.array(ordered, np.uint64)).tolist() == []
