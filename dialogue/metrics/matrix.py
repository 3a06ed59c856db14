"""The lifelong matrix R[i, j]: after learning domain i, how good is the model on domain j."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dialogue.exam import GENERAL
from dialogue.metrics import Metric

Matrix = Mapping[tuple[str, str], float]
"""(domain learned last, domain examined) → value of the metric; `base` is the untaught model."""


@dataclass(frozen=True, slots=True)
class Lifelong:
    """What the matrix sums up to, after the last domain; None where nothing defines it yet.

    Attributes:
        average: mean over the learned domains of the metric after the last lesson, in its unit.
        backward_transfer: mean change on earlier domains since they were learned; + is better.
        forward_transfer: mean advantage over the base on a domain before it was learned; + is
            better.
        forgetting: mean loss on earlier domains against the best model so far; + is worse.
        forgetting_of: the same loss domain by domain, the exams of general ability included.
    """

    average: float | None
    backward_transfer: float | None
    forward_transfer: float | None
    forgetting: float | None
    forgetting_of: dict[str, float]


def lifelong(matrix: Matrix, lessons: Sequence[str], metric: Metric) -> Lifelong:
    """Sum the matrix up; values are turned so that a gain is positive whatever the metric.

    Sources: Lopez-Paz and Ranzato 2017 (GEM), equations 2 to 4, with the base model for the
    untrained one; Chaudhry et al. 2018 (RWalk), equation 3, for forgetting.

    Args:
        matrix: one metric's values.
        lessons: the domains in the order they were learned, without `base`.
        metric: whose values they are; it knows whether more is better.

    Raises:
        ValueError: a value that the sums need is missing.
    """
    last = lessons[-1]
    earlier = list(lessons[:-1])
    sign = metric.sign

    def value(learned: str, domain: str) -> float:
        if (learned, domain) not in matrix:
            raise ValueError(f"lifelong matrix: no {metric.name} of {learned} on {domain}")
        return matrix[learned, domain]

    def loss(domain: str) -> float:
        since = ["base", *earlier] if domain in GENERAL else earlier[earlier.index(domain) :]
        best = max(sign * value(learned, domain) for learned in since)
        return best - sign * value(last, domain)

    backward = [sign * (value(last, domain) - value(domain, domain)) for domain in earlier]
    forward = [
        sign * (value(before, domain) - value("base", domain))
        for before, domain in itertools.pairwise(lessons)
    ]
    protected = [domain for domain in GENERAL if (last, domain) in matrix]
    forgetting_of = {domain: loss(domain) for domain in [*protected, *earlier]}
    return Lifelong(
        average=_mean([value(last, domain) for domain in lessons]),
        backward_transfer=_mean(backward),
        forward_transfer=_mean(forward),
        forgetting=_mean([forgetting_of[domain] for domain in earlier]),
        forgetting_of=forgetting_of,
    )


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
