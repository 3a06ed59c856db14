"""Banding: which rows of two tables of signatures are alike, without comparing all with all.

Locality-sensitive hashing (Indyk and Motwani 1998): rows that agree in every value of one band meet
in a bucket, a run of equal keys after sorting; rows that meet are compared over all P values. Work
and memory grow with the number of rows, however many of them are alike.

Shapes: A and B rows, P values a row, M pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dialogue.sorted_arrays import is_among, sorted_unique

Rows = NDArray[np.int64]
Candidates = tuple[Rows, Rows]

_LEAST_RECALL = 0.97
_WINDOW = 32
_PARTNERS = 8
_COMPARED_AT_ONCE = 1 << 15
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Table:
    """Signatures that differ from one another.

    Attributes:
        values: uint16[N, P], of which only some rows count.
        rows: int64[A], which.
        least: float32[A], the similarity that each of them asks of a partner.
    """

    values: NDArray[np.uint16]
    rows: Rows
    least: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def keys(self, start: int, stop: int) -> NDArray[np.uint64]:
        """uint64[A]: one number for the values of a band."""
        return _keys(self.values[self.rows, start:stop])


def alike(a: Table, b: Table | None, similarity: float) -> Rows:
    """int64[M, 2], sorted: rows of `a` and `b`, or of `a` alone, that agree in enough values.

    In a bucket each row meets at most 32 others, and one that has met 8 alike ones is compared
    with such others no more: a row with a partner is in some pair, not in all.

    Args:
        a: a table.
        b: another, or None for the pairs within `a`, the smaller row first.
        similarity: the least share of equal values asked for anywhere; decides the bands.
    """
    other = a if b is None else b
    num_b = max(1, len(other))
    met_a = np.zeros(len(a), np.uint8)
    met_b = met_a if b is None else np.zeros(len(b), np.uint8)
    found = np.zeros(0, np.int64)
    num_values = a.values.shape[1]
    num_rows = _rows_per_band(similarity, num_values)
    for start in range(0, num_values - num_rows + 1, num_rows):
        fresh = []
        keys = a.keys(start, start + num_rows)
        if b is None:
            candidates = _neighbours(keys)
        else:
            candidates = _meetings(keys, b.keys(start, start + num_rows))
        for i, j in candidates:
            wanting = (met_a[i] < _PARTNERS) | (met_b[j] < _PARTNERS)
            pairs = _alike_among(a, other, np.stack([i[wanting], j[wanting]], axis=1))
            codes = sorted_unique(pairs[:, 0] * num_b + pairs[:, 1])
            codes = codes[~is_among(codes, found)]
            _count(met_a, codes // num_b)
            _count(met_b, codes % num_b)
            fresh.append(codes)
        found = sorted_unique(np.concatenate([found, *fresh]))
    return np.stack([found // num_b, found % num_b], axis=1)


def shares(a: NDArray[np.uint16], b: NDArray[np.uint16], rows: Rows) -> NDArray[np.float32]:
    """float32[M]: the share of equal values of each pair of rows."""
    result = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _COMPARED_AT_ONCE):
        part = rows[start : start + _COMPARED_AT_ONCE]
        result[start : start + len(part)] = (a[part[:, 0]] == b[part[:, 1]]).mean(axis=1)
    return result


def row_hashes(values: NDArray[np.uint16], rows: Rows) -> NDArray[np.uint64]:
    """uint64[A]: of each of the rows a number, equal for equal rows, for others once in 2⁶⁴."""
    hashes = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), _COMPARED_AT_ONCE):
        part = values[rows[start : start + _COMPARED_AT_ONCE]]
        hashes[start : start + len(part)] = _keys(part.view(np.uint64))
    return hashes


def _rows_per_band(similarity: float, num_values: int) -> int:
    """The longest band that still catches a pair of just this similarity nearly always.

    A band of r values agrees with probability s^r, one of P/r bands with 1 - (1 - s^r)^(P/r)
    (Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", 3.4).
    """
    for rows in range(16, 1, -1):
        if 1 - (1 - similarity**rows) ** (num_values // rows) >= _LEAST_RECALL:
            return rows
    return 1


def _keys(columns: NDArray[np.uint16] | NDArray[np.uint64]) -> NDArray[np.uint64]:
    keys = np.zeros(len(columns), np.uint64)
    for column in columns.T:
        keys ^= keys >> np.uint64(29)
        keys *= _ODD
        keys += column
    return keys


def _neighbours(keys: NDArray[np.uint64]) -> Iterator[Candidates]:
    """Rows in one bucket, the smaller first: each with the next ones, in a ring."""
    order = np.argsort(keys, kind="stable")
    first, size = _buckets(keys[order], keys[order])
    rank = np.arange(len(order)) - first
    for step in range(1, _WINDOW + 1):
        place = np.flatnonzero(size >= 2 * step)
        if not len(place):
            return
        other = first[place] + (rank[place] + step) % size[place]
        i, j = order[place], order[other]
        yield np.minimum(i, j), np.maximum(i, j)


def _meetings(keys_a: NDArray[np.uint64], keys_b: NDArray[np.uint64]) -> Iterator[Candidates]:
    """Rows of both in one bucket: each of `a` with some of `b`, and the other way round."""
    order_a, order_b = np.argsort(keys_a, kind="stable"), np.argsort(keys_b, kind="stable")
    sorted_a, sorted_b = keys_a[order_a], keys_b[order_b]
    yield from _one_way(order_a, order_b, sorted_a, sorted_b)
    for j, i in _one_way(order_b, order_a, sorted_b, sorted_a):
        yield i, j


def _one_way(
    order: Rows, others: Rows, keys: NDArray[np.uint64], other_keys: NDArray[np.uint64]
) -> Iterator[Candidates]:
    own_first, _ = _buckets(keys, keys)
    first, size = _buckets(keys, other_keys)
    rank = np.arange(len(order)) - own_first
    for step in range(_WINDOW):
        place = np.flatnonzero(size > step)
        if not len(place):
            return
        yield order[place], others[first[place] + (rank[place] + step) % size[place]]


def _buckets(keys: NDArray[np.uint64], others: NDArray[np.uint64]) -> Candidates:
    """Where among the sorted `others` each of the sorted keys stands first, and how often."""
    first: Rows = np.searchsorted(others, keys, "left")
    return first, np.searchsorted(others, keys, "right") - first


def _alike_among(a: Table, b: Table, pairs: Rows) -> Rows:
    i, j = pairs.T
    rows = np.stack([a.rows[i], b.rows[j]], axis=1)
    kept: Rows = pairs[shares(a.values, b.values, rows) >= np.maximum(a.least[i], b.least[j])]
    return kept


def _count(met: NDArray[np.uint8], rows: Rows) -> None:
    """Count meetings, up to a partner's fill: the counter has a byte."""
    unique, counts = np.unique(rows, return_counts=True)
    met[unique] = np.minimum(met[unique] + np.minimum(counts, _PARTNERS), _PARTNERS)
