from __future__ import annotations

import numpy as np
import pytest

from benchmarks._agreement import (
    auc,
    by_group,
    interval,
    partial_spearman,
    spearman,
    split_half,
)


def test_rank_correlations_by_hand() -> None:
    """1 - 6 Σd² / n(n² - 1), with one pair of neighbours swapped."""
    one, other = np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 40, 30])
    assert spearman(one, other) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert spearman(one, np.ones(4)) == 0.0, "nothing that varies"


def test_what_follows_from_length_alone_is_gone_when_length_is_fixed() -> None:
    generator = np.random.default_rng(0)
    length, noise, more = generator.normal(size=(3, 4_000))
    values, ratings = length + noise, length + more
    assert spearman(values, ratings) > 0.4
    assert abs(partial_spearman(values, ratings, length)) < 0.06


def test_groups_are_compared_by_their_means() -> None:
    groups = np.array([0, 0, 1, 1, 2, 2])
    one = np.array([0.0, 2, 9, 1, 0, 20])
    other = np.array([3.0, 1, 0, 6, 4, 4])
    assert by_group(one, other, groups) == pytest.approx(1.0)


def test_area_under_the_curve_by_hand() -> None:
    """Of four pairs two are won and one is even."""
    assert auc(np.array([1.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx(2.5 / 4)


def test_the_interval_holds_the_truth_and_keeps_the_groups() -> None:
    generator = np.random.default_rng(1)
    one = generator.normal(size=400)
    other = 0.5 * one + generator.normal(size=400)
    low, high = interval(spearman, (one, other))
    assert low < spearman(one, other) < high < low + 0.25
    groups = np.repeat(np.arange(4), 100)
    far = one / 100 + groups
    assert interval(by_group, (far, far), groups) == (1.0, 1.0)


def test_ratings_that_are_all_alike_in_a_group_rank_as_well_as_can_be() -> None:
    groups = np.repeat(np.arange(5), 40)
    assert split_half(groups.astype(float), groups) == pytest.approx((1.0, 1.0))
    noise = np.random.default_rng(1).normal(size=len(groups))
    half, whole = split_half(groups * 0.3 + noise, groups)
    assert 0.3 < half < whole < 1
    assert whole == pytest.approx(2 * half / (1 + half))
    assert abs(split_half(noise, groups)[0]) < 0.6


def test_a_group_that_a_half_lacks_is_not_compared() -> None:
    groups = np.array([*[0] * 20, *[1] * 20, 2])
    half, _ = split_half(groups.astype(float), groups)
    assert half == pytest.approx(1.0)
