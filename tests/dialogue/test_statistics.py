from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from dialogue.statistics import (
    Bootstrap,
    Floats,
    bootstrap,
    dialogues_needed,
    holm,
    interval,
    p_value,
    resamples_needed,
)


def ratio(totals: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return totals[..., 0] / totals[..., 1]


def of_mean(values: list[float] | Floats, resamples: int = 2_000, seed: int = 1) -> Bootstrap:
    clusters = np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)
    return bootstrap(clusters, ratio, resamples, seed)


def test_the_estimate_is_a_ratio_of_sums_and_no_mean_of_ratios() -> None:
    clusters = np.array([[1.0, 1.0], [9.0, 3.0]])
    assert bootstrap(clusters, ratio, 100, seed=0).estimate == pytest.approx(10 / 4)


def test_two_dialogues_have_three_possible_resamples() -> None:
    sample = of_mean([0.0, 1.0], resamples=4_000)
    values, counts = np.unique(sample.resampled, return_counts=True)
    assert values.tolist() == [0.0, 0.5, 1.0]
    assert counts / 4_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    assert interval(sample) == (0.0, 1.0)


def test_acceleration_by_hand() -> None:
    # Leaving one out gives 1.5, 1.5, 0: influences -0.5, -0.5, 1, whose cubes sum to 0.75 and
    # whose squares sum to 1.5.
    assert of_mean([0.0, 0.0, 3.0]).acceleration == pytest.approx(0.75 / (6 * 1.5**1.5))


def test_one_dialogue_says_nothing_of_its_spread() -> None:
    sample = of_mean([3.0])
    assert interval(sample) == (3.0, 3.0)
    assert dialogues_needed(sample, 0.0, alpha=0.05) == 2


def test_no_dialogue_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one dialogue"):
        of_mean([])


def test_equal_seeds_agree_and_a_batched_draw_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.arange(20.0)
    whole = of_mean(values, seed=5)
    assert np.array_equal(whole.resampled, of_mean(values, seed=5).resampled)
    monkeypatch.setattr("dialogue.statistics._CELLS_AT_ONCE", 20 * 300)
    assert np.array_equal(whole.resampled, of_mean(values, seed=5).resampled)


def test_the_interval_is_scipys_bca_at_the_expanded_level() -> None:
    values = np.random.default_rng(0).lognormal(size=60)
    ours = interval(of_mean(values, resamples=20_000))
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=20_000,
        rng=np.random.default_rng(0),
        method="BCa",
        confidence_level=2 * stats.norm.cdf(math.sqrt(60 / 59) * stats.t.ppf(0.975, 59)) - 1,
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), rel=0.02)


def test_coverage_of_a_skewed_ratio_is_near_nominal() -> None:
    generator = np.random.default_rng(3)
    trials, hits = 300, 0
    for trial in range(trials):
        weight = generator.integers(1, 20, size=60).astype(float)
        value = weight * generator.gamma(4.0, 0.5, size=60)
        low, high = interval(bootstrap(np.stack([value, weight], 1), ratio, 500, trial))
        hits += low <= 2.0 <= high
    assert 0.91 <= hits / trials <= 0.98


@settings(max_examples=60, deadline=None)
@example(values=[0.0, 0.0, 0.0, 0.0, -1.0], threshold=-1.0, alpha=0.01)
@given(
    values=st.lists(st.floats(-5, 5), min_size=5, max_size=30),
    threshold=st.floats(-3, 3),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_the_test_agrees_with_the_interval(
    values: list[float], threshold: float, alpha: float
) -> None:
    sample = of_mean(values, resamples=400)
    low, _ = interval(sample, 1 - 2 * alpha)
    if low > threshold:
        # Beyond every resample p stays what their number can show at best, BCa's shift included.
        least = p_value(sample, float(sample.resampled[0]) - 1.0)
        assert p_value(sample, threshold) <= max(alpha + 0.01, least)
    if low < threshold:
        assert p_value(sample, threshold) >= alpha - 0.01


def test_p_by_hand_where_nothing_is_skewed() -> None:
    # z0 and the acceleration are 0, so p is the share of resamples at or below the threshold.
    sample = Bootstrap(3.0, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 0.0, num_clusters=10**9)
    assert p_value(sample, 1.5) == pytest.approx(1 / 5)
    assert p_value(sample, 3.0) == pytest.approx(3 / 5)
    few = replace(sample, num_clusters=5)
    expected = stats.t.cdf(math.sqrt(4 / 5) * stats.norm.ppf(1 / 5), df=4)
    assert p_value(few, 1.5) == pytest.approx(expected)


def test_a_mean_of_few_normal_values_has_about_students_interval() -> None:
    half = np.abs(np.random.default_rng(1).normal(size=6))
    values = np.concatenate([half, -half])
    student = stats.t.ppf(0.975, 11) * stats.sem(values)
    assert student > 1.17 * stats.norm.ppf(0.975) * values.std() / math.sqrt(12)
    assert interval(of_mean(values, resamples=20_000)) == pytest.approx(
        (-student, student), rel=0.05
    )


@pytest.mark.parametrize(("value", "number"), [(0.5, 10), (4 / 11, 80), (0.1, 80), (1 / 3, 20)])
def test_a_constant_difference_proves_no_more_than_the_resamples(value: float, number: int) -> None:
    """Nor less, where its sums in another order differ by rounding."""
    sample = of_mean([value] * number, resamples=99)
    assert p_value(sample, 0.0) == pytest.approx(1 / 100)
    assert p_value(sample, sample.estimate) == 1.0
    assert interval(sample) == (sample.estimate, sample.estimate)


def test_p_of_a_normal_mean_is_near_the_t_test() -> None:
    values = np.random.default_rng(7).normal(0.25, 1.0, size=100)
    expected = stats.ttest_1samp(values, 0.0, alternative="greater").pvalue
    assert p_value(of_mean(values, resamples=20_000), 0.0) == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize("values", [[1.0, 3.0], [2.0, 2.0], [1.0, 1.0, 4.0], [5.0]])
def test_a_handful_of_dialogues_has_an_interval(values: list[float]) -> None:
    low, high = interval(of_mean(values))
    assert (low, high) == (min(values), max(values))


@pytest.mark.parametrize(("alpha", "num_clusters"), [(0.05, 200), (0.002, 20), (0.01, 7)])
def test_about_so_many_resamples_can_show_alpha_and_half_cannot(
    alpha: float, num_clusters: int
) -> None:
    enough = resamples_needed(alpha, num_clusters)
    values = np.linspace(1.0, 2.0, num_clusters)
    assert p_value(of_mean(values, resamples=2 * enough), 0.0) <= alpha
    assert p_value(of_mean(values, resamples=enough // 2), 0.0) > alpha


def test_the_undefined_is_nan() -> None:
    sample = bootstrap(np.zeros((3, 2)), ratio, 100, seed=0)
    assert math.isnan(sample.estimate)
    assert all(map(math.isnan, interval(sample)))
    assert math.isnan(p_value(sample, 0.0))
    assert dialogues_needed(sample, 0.0, alpha=0.05) is None


def test_resamples_without_weight_are_left_out() -> None:
    sample = bootstrap(np.array([[1.0, 1.0], [0.0, 0.0]]), ratio, 1_000, seed=0)
    assert 600 < len(sample.resampled) < 900
    assert interval(sample) == (1.0, 1.0)


def test_an_infinite_change_is_certain_but_has_no_spread() -> None:
    clusters = np.array([[1.0, 0.0]] * 5)
    sample = bootstrap(clusters, ratio, 100, seed=0)
    assert sample.estimate == math.inf
    assert p_value(sample, 0.5) == pytest.approx(1 / 101)
    assert dialogues_needed(sample, 0.5, alpha=0.05) is None


def test_holm_by_hand() -> None:
    # 0.01 × 3, then 0.03 × 2, then 0.04 × 1, which may not fall below the one before it.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([math.nan, 0.01]) == pytest.approx([1.0, 0.02])
    assert holm([]) == []


def test_dialogues_needed_by_hand() -> None:
    # Mean 0.5, spread 1: (1.645 + 0.842)² × 1 / 0.25 = 24.7 dialogues.
    values = [-0.5, 1.5] * 50
    assert dialogues_needed(of_mean(values, 20_000), 0.0, alpha=0.05) == pytest.approx(25, abs=1)
    assert dialogues_needed(of_mean(values), 0.5, alpha=0.05) is None
