"""Large arrays of integers, each value once."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Integer = TypeVar("Integer", bound=np.integer)


def sorted_unique(values: NDArray[Integer]) -> NDArray[Integer]:
    """The values [N] in ascending order, each once.

    NumPy's `unique` fills a hash table since 2.3: of six million hashes that takes 50 times as long
    as to sort them, and 4 times the memory.
    """
    ordered = np.sort(values)
    is_new = np.ones(len(ordered), np.bool_)
    is_new[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_new]
