"""Rank correlations with people, and their intervals. Shapes: N conversations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

_RESAMPLES = 1_000
_SEED = 17


def spearman(one: Floats, other: Floats) -> float:
    """Spearman's rank correlation of [N] and [N]; 0 where one of them does not vary."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(stats.spearmanr(one, other).statistic)


def partial_spearman(one: Floats, other: Floats, fixed: Floats) -> float:
    """Spearman's correlation of [N] and [N] with a third [N] held fixed: Pearson's of ranks."""
    ab, ac, bc = spearman(one, other), spearman(one, fixed), spearman(other, fixed)
    return float((ab - ac * bc) / np.sqrt(max((1 - ac**2) * (1 - bc**2), 1e-12)))


def by_group(one: Floats, other: Floats, groups: Places) -> float:
    """Spearman's correlation of the groups' means; `groups` [N] numbers them from 0."""
    counts = np.maximum(np.bincount(groups), 1)
    return spearman(
        np.bincount(groups, weights=one) / counts, np.bincount(groups, weights=other) / counts
    )


def split_half(ratings: Floats, groups: Places) -> tuple[float, float]:
    """How well ratings rank groups as other ratings of them do: of a half, and of all.

    Of a half it is the mean of Spearman's correlations between the groups' means in random halves
    of the N conversations, over the groups that both have; of all what follows by the formula of
    Spearman and Brown (1910).
    """
    generator = np.random.default_rng(_SEED)
    num = int(groups.max()) + 1
    found = []
    for _ in range(_RESAMPLES):
        first = np.zeros(len(ratings), dtype=np.bool_)
        first[generator.permutation(len(ratings))[: len(ratings) // 2]] = True
        counts = [np.bincount(groups[half], minlength=num) for half in (first, ~first)]
        sums = [np.bincount(groups[half], ratings[half], num) for half in (first, ~first)]
        both = (counts[0] > 0) & (counts[1] > 0)
        means = [total[both] / count[both] for total, count in zip(sums, counts, strict=True)]
        found.append(spearman(*means))
    half = float(np.mean(found))
    return half, 2 * half / (1 + half)


def auc(real: Floats, other: Floats) -> float:
    """How often a real one is above another, ties half: the area under the ROC curve."""
    return float(stats.mannwhitneyu(real, other).statistic / (len(real) * len(other)))


def interval(
    statistic: Callable[..., float], columns: Sequence[Floats], groups: Places | None = None
) -> tuple[float, float]:
    """95 % percentile bootstrap over the N conversations, within each group where there are groups.

    So the interval of `by_group` is for these bots: other bots are not among what could have been.
    """
    generator = np.random.default_rng(_SEED)
    num = len(columns[0])
    own = [np.arange(num)] if groups is None else [np.flatnonzero(groups == g) for g in set(groups)]
    found = []
    for _ in range(_RESAMPLES):
        drawn = np.concatenate([generator.choice(part, len(part)) for part in own])
        more = () if groups is None else (groups[drawn],)
        found.append(statistic(*(column[drawn] for column in columns), *more))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
