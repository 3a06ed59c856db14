"""Banding finds what comparing all rows finds, but for what its bounds leave out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue import banding
from dialogue.banding import Table, alike

NUM_VALUES = 128


def table(values: np.ndarray, least: float | list[float]) -> Table:
    rows = np.arange(len(values))
    return Table(values, rows, np.broadcast_to(np.float32(least), len(rows)))


def random_rows(seed: int, num_rows: int) -> np.ndarray:
    """Rows of which some share much with an earlier one."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2**16, (num_rows, NUM_VALUES), np.uint16)
    for row in range(1, num_rows):
        shared = rng.random(NUM_VALUES) < rng.choice([0, 0.3, 0.8, 0.97])
        values[row, shared] = values[rng.integers(row), shared]
    return values


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 12))
def test_pairs_within_are_those_of_all_with_all(seed: int, num_rows: int) -> None:
    values = random_rows(seed, num_rows)
    found = {(int(i), int(j)) for i, j in alike(table(values, 0.7), None, 0.7)}
    share = {(i, j): (values[i] == values[j]).mean() for i, j in combinations(range(num_rows), 2)}
    assert found <= {pair for pair, each in share.items() if each >= 0.7}
    assert found >= {pair for pair, each in share.items() if each >= 0.85}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 8), st.integers(0, 8))
def test_pairs_between_are_those_of_all_with_all(seed: int, num_a: int, num_b: int) -> None:
    values = random_rows(seed, num_a + num_b)
    a, b = values[:num_a], values[num_a:]
    found = {(int(i), int(j)) for i, j in alike(table(a, 0.7), table(b, 0.7), 0.7)}
    share = {(i, j): (a[i] == b[j]).mean() for i in range(num_a) for j in range(num_b)}
    assert found <= {pair for pair, each in share.items() if each >= 0.7}
    assert found >= {pair for pair, each in share.items() if each >= 0.85}


def test_the_stricter_of_two_rows_decides() -> None:
    values = np.zeros((2, NUM_VALUES), np.uint16)
    values[1, :20] = 1
    assert len(alike(table(values, [0.7, 0.7]), None, 0.7)) == 1
    assert len(alike(table(values, [0.7, 0.9]), None, 0.7)) == 0


@pytest.mark.parametrize("similarity", [0.1, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1.0])
def test_bands_catch_a_pair_of_just_the_similarity_asked_for(similarity: float) -> None:
    rng = np.random.default_rng(1)
    num_equal = int(np.ceil(similarity * NUM_VALUES))
    caught = 0
    for _ in range(100):
        values = rng.integers(0, 2**16, (2, NUM_VALUES), np.uint16)
        values[1] = values[0] + 1
        equal = rng.choice(NUM_VALUES, num_equal, replace=False)
        values[1, equal] = values[0, equal]
        caught += len(alike(table(values, similarity), None, similarity))
    assert caught >= 93


def test_a_row_that_all_others_meet_is_not_met_by_all() -> None:
    rng = np.random.default_rng(1)
    values = np.repeat(rng.integers(0, 2**16, (1, NUM_VALUES), np.uint16), 3_000, axis=0)
    values[:, 0] = np.arange(3_000)
    pairs = alike(table(values, 0.7), None, 0.7)
    assert set(pairs.ravel().tolist()) == set(range(3_000))
    assert len(pairs) < 3_000 * 32


def test_row_hashes_tell_rows_apart() -> None:
    values = random_rows(1, 500)
    values[400] = values[3]
    hashes = banding.row_hashes(values, np.arange(500))
    assert hashes[400] == hashes[3]
    assert len(np.unique(hashes)) == len(np.unique(values, axis=0)) < 500
    assert (banding.row_hashes(values, np.array([7, 3])) == hashes[[7, 3]]).all()
