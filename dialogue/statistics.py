"""Paired cluster bootstrap over dialogues, one-sided tests, Holm, and the power to decide.

A dialogue is one cluster: its tokens, replies and metrics stand or fall together. Shapes: n
clusters, k columns, B resamples.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From column sums [..., k] to one number each [...]; NaN where it is undefined."""

_CELLS_AT_ONCE = 4_000_000
_ROUNDING = 1e-12
"""Of sums and of their ratios, as a share of them; absolute below 1."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A statistic with what its resamples say of it.

    Attributes:
        estimate: the statistic on the dialogues as they are.
        resampled: the statistic on each resample, sorted [B]; undefined ones are left out.
        acceleration: how its spread changes with its value, by the jackknife.
        num_clusters: n.
    """

    estimate: float
    resampled: Floats
    acceleration: float
    num_clusters: int


def bootstrap(clusters: Floats, statistic: Statistic, resamples: int, seed: int) -> Bootstrap:
    """Resample whole clusters with replacement.

    Columns of one row belong to one dialogue, so a statistic of several models' columns is paired.
    Equal n and seed give equal resamples: differences between rules are not differences of luck.

    Args:
        clusters: [n, k], one row per dialogue; the columns are summed, then `statistic` is taken.
        statistic: what is to be known, from the columns' sums.
        resamples: B.
        seed: of the generator that draws the resamples.

    Raises:
        ValueError: there is no dialogue.
    """
    num_clusters = len(clusters)
    if num_clusters == 0:
        raise ValueError("a bootstrap needs at least one dialogue")
    totals = clusters.sum(axis=0)
    estimate = float(statistic(totals))
    resampled = np.concatenate(
        [statistic(drawn @ clusters) for drawn in _drawn(num_clusters, resamples, seed)]
    )
    # Sums in another order differ by rounding, and a tie would count as above or below.
    resampled[np.isclose(resampled, estimate, rtol=_ROUNDING, atol=_ROUNDING)] = estimate
    return Bootstrap(
        estimate=estimate,
        resampled=np.sort(resampled[~np.isnan(resampled)]),
        acceleration=_acceleration(statistic(totals - clusters)),
        num_clusters=num_clusters,
    )


def _drawn(num_clusters: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each cluster stands in each resample, [B, n] in parts that fit the memory."""
    if num_clusters * resamples <= _CELLS_AT_ONCE:
        yield _counts(num_clusters, resamples, seed)
        return
    generator = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // num_clusters)
    for start in range(0, resamples, at_once):
        yield _draw(generator, num_clusters, min(at_once, resamples - start))


@functools.lru_cache(maxsize=8)
def _counts(num_clusters: int, resamples: int, seed: int) -> Floats:
    """All parts in one: every rule of a gate asks for the same."""
    return _draw(np.random.default_rng(seed), num_clusters, resamples)


def _draw(generator: np.random.Generator, num_clusters: int, resamples: int) -> Floats:
    even = np.full(num_clusters, 1 / num_clusters)
    return generator.multinomial(num_clusters, even, size=resamples).astype(np.float64)


def interval(sample: Bootstrap, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided BCa interval: Efron 1987, "Better bootstrap confidence intervals", equation 3.8.

    Its levels are expanded for small samples, where a bootstrap's spread is that of n - 1 in n and
    its tails are too thin: Hesterberg 2015, "What teachers should know about the bootstrap".
    NaN where the estimate, or every resample, is undefined.
    """
    if np.isnan(sample.estimate) or len(sample.resampled) == 0:
        return (float("nan"), float("nan"))
    reach = _reach((1 - confidence) / 2, sample.num_clusters)
    levels = [_corrected_level(sample, -reach), _corrected_level(sample, reach)]
    low, high = np.quantile(sample.resampled, levels, method="inverted_cdf")
    return float(low), float(high)


def p_value(sample: Bootstrap, threshold: float) -> float:
    """One-sided p for the claim that the statistic exceeds `threshold`.

    It is the level at which the BCa interval's lower end meets the threshold, so a test at α
    agrees with the interval of confidence 1 - 2α. Never below 1 / (B + 1): resamples that all
    agree prove no more than their number. NaN where the statistic is undefined.
    """
    count = len(sample.resampled)
    if np.isnan(sample.estimate) or count == 0:
        return float("nan")
    smallest = 1 / (count + 1)
    if sample.resampled[0] == sample.resampled[-1]:
        return smallest if sample.estimate > threshold else 1.0
    at_most = int(np.searchsorted(sample.resampled, threshold, side="right"))
    reached = np.clip(at_most / count, smallest, 1 - smallest)
    bias = _bias(sample)
    distance = float(special.ndtri(reached)) - bias
    corrected = _stretched(distance, -sample.acceleration) - bias
    return float(np.clip(_shrunk(corrected, sample.num_clusters), smallest, 1.0))


def resamples_needed(alpha: float, num_clusters: int) -> int:
    """The fewest resamples whose smallest p-value, of so many clusters, is no greater than α.

    Without bound for a handful of clusters: a bootstrap of five dialogues shows no p of 0.001.
    """
    return math.ceil(1 / max(float(special.ndtr(-_reach(alpha, num_clusters))), 1e-12))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: reject where ≤ α. Holm 1979.

    An undefined p-value counts as 1.
    """
    values = np.nan_to_num(np.asarray(p_values, dtype=np.float64), nan=1.0)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return [float(value) for value in adjusted]


def dialogues_needed(
    sample: Bootstrap, threshold: float, alpha: float, power: float = 0.8
) -> int | None:
    """How many dialogues show at level α, with this power, that the statistic exceeds a threshold.

    By the normal approximation, taking the estimate for the truth and a spread that falls with the
    square root of the number. None where the estimate does not exceed the threshold, or the
    spread is unknown.
    """
    distance = sample.estimate - threshold
    finite = sample.resampled[np.isfinite(sample.resampled)]
    if not distance > 0 or len(finite) < 2 or len(finite) < len(sample.resampled):
        return None
    spread = float(np.std(finite, ddof=1))
    reach = float(special.ndtri(1 - alpha) + special.ndtri(power)) * spread / distance
    return max(2, int(np.ceil(sample.num_clusters * reach**2)))


def needed_together(needed: int, number: int, alpha: float, power: float = 0.8) -> int:
    """How many decide each of `number` tests, where `needed` would decide one alone.

    Holm holds the strictest of them to α / number, and that all succeed with this power is sure
    where each misses with a `number`-th of what is left (Bonferroni). Both as in
    `dialogues_needed`, where the needed number grows with the square of both quantiles' sum.
    """
    alone = special.ndtri(1 - alpha) + special.ndtri(power)
    beside = special.ndtri(1 - alpha / number) + special.ndtri(1 - (1 - power) / number)
    return math.ceil(needed * float(beside / alone) ** 2)


def _bias(sample: Bootstrap) -> float:
    """z0: how far the estimate stands from its resamples' median; ties count half."""
    count = len(sample.resampled)
    below = int(np.searchsorted(sample.resampled, sample.estimate, side="left"))
    until = int(np.searchsorted(sample.resampled, sample.estimate, side="right"))
    share = np.clip((below + until) / (2 * count), 1 / (count + 1), count / (count + 1))
    return float(special.ndtri(share))


def _acceleration(left_out: Floats) -> float:
    """Sixth of the skewness of the jackknife's influence; 0 where it is undefined."""
    if not np.all(np.isfinite(left_out)):
        return 0.0
    influence: Floats = left_out.mean() - left_out
    square = float((influence**2).sum())
    # Below this the differences are rounding, and their cubes would say nothing.
    if square <= len(left_out) * (_ROUNDING * max(1.0, float(np.abs(left_out).max()))) ** 2:
        return 0.0
    skewness = float((influence**3).sum()) / math.pow(square, 1.5)
    return skewness / 6


def _corrected_level(sample: Bootstrap, distance: float) -> float:
    """The quantile of the resamples that bounds the statistic, so many normal spreads away."""
    bias = _bias(sample)
    return float(special.ndtr(bias + _stretched(bias + distance, sample.acceleration)))


def _reach(tail: float, num_clusters: int) -> float:
    """Normal spreads to either side that leave `tail` outside, expanded by Student's t."""
    if num_clusters < 2:
        return -float(special.ndtri(tail))
    quantile = float(special.stdtrit(num_clusters - 1, tail))
    return -math.sqrt(num_clusters / (num_clusters - 1)) * quantile


def _shrunk(distance: float, num_clusters: int) -> float:
    """The tail that an expanded interval leaves at a distance of normal spreads."""
    if num_clusters < 2:
        return float(special.ndtr(distance))
    shorter = math.sqrt((num_clusters - 1) / num_clusters) * distance
    return float(special.stdtr(num_clusters - 1, shorter))


def _stretched(distance: float, acceleration: float) -> float:
    """A distance in spreads that change on the way; infinite where it passes the pole."""
    scale = 1 - acceleration * distance
    return distance / scale if scale > 0 else math.copysign(math.inf, distance)
