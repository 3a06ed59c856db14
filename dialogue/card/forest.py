"""The forest plot: where value, interval and bound of every finding stand on its strip.

A strip is 100 wide, and its right side is better, whatever the metric. Findings that compare share
one scale of relative change; each absolute bound has its own, with the bound in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

_LINEAR = 0.02
"""Changes well below this are drawn in proportion, larger ones ever more narrowly (arsinh)."""

_PADDING = 0.06
_TICKS = (0.0, 0.02, 0.1, 0.5, 0.05, 0.2, 1.0, 0.01, 2.0, 5.0, 10.0, 100.0)
_TICK_DISTANCE = 14.0
_HALF = 47.0


@dataclass(frozen=True, slots=True)
class Strip:
    """Positions from 0 (worst) to 100 (best); None where there is nothing to draw."""

    zero: float | None = None
    bound: float | None = None
    bound_is_ceiling: bool = False
    """Better than the bound is the forbidden side: the alarm for what is too good to be true."""
    value: float | None = None
    low: float | None = None
    high: float | None = None


class ChangeScale:
    """Relative change → position, one scale for all findings that compare."""

    def __init__(self, findings: Iterable[Mapping[str, Any]]) -> None:
        self._linear = _LINEAR
        numbers = [0.0]
        for finding in findings:
            numbers += [
                number
                for number in (
                    finding["change"],
                    threshold(finding),
                    *(finding["change_interval"] or ()),
                )
                if is_number(number)
            ]
        ends = [self._turned(number) for number in (min(numbers), max(numbers))]
        room = _PADDING * ((ends[1] - ends[0]) or 1.0)
        self._low, self._high = ends[0] - room, ends[1] + room

    def position(self, change: float) -> float:
        """From 0 to 100."""
        return 100 * (self._turned(change) - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, float]]:
        """(position, change), from left to right, with room for a label each."""
        chosen: list[tuple[float, float]] = []
        for size in _TICKS:
            for change in {size, -size}:
                place = self.position(change)
                near = any(abs(place - other) < _TICK_DISTANCE for other, _ in chosen)
                if 3 <= place <= 97 and not near:
                    chosen.append((place, change))
        return sorted(chosen)

    def strip(self, finding: Mapping[str, Any]) -> Strip:
        """A finding that compares, on this scale."""
        bound = threshold(finding)
        low, high = finding["change_interval"] or (None, None)
        return Strip(
            zero=self.position(0.0),
            bound=self._placed(bound),
            bound_is_ceiling=finding["kind"] == "suspicion",
            value=self._placed(finding["change"]),
            low=self._placed(low),
            high=self._placed(high),
        )

    def _placed(self, change: float | None) -> float | None:
        return self.position(change) if is_number(change) else None

    def _turned(self, change: float) -> float:
        return math.asinh(change / self._linear)


def absolute_strip(finding: Mapping[str, Any]) -> Strip:
    """A `bound` finding on its own scale.

    Half the strip is the bound's own size, or what the interval needs where that is more.
    """
    bound, value = finding["bound"], finding["value"]
    if not (is_number(bound) and is_number(value)):
        return Strip()
    sign = 1 if finding["asks"] == "at least" else -1
    ends: Sequence[float] = [end for end in finding["interval"] or () if is_number(end)]
    half = max(abs(bound), *(abs(number - bound) for number in (value, *ends))) or 1.0

    def place(number: float) -> float:
        return 50 + _HALF * sign * (number - bound) / half

    low, high = sorted(map(place, ends)) if len(ends) == 2 else (None, None)
    return Strip(bound=50.0, value=place(value), low=low, high=high)


def threshold(finding: Mapping[str, Any]) -> float | None:
    """The relative change that a comparison was held against; None where it was held to none."""
    margin = finding["margin"]
    if finding["kind"] == "superiority":
        return 0.0
    if not is_number(margin):
        return None
    return margin if finding["kind"] == "suspicion" else -margin


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value of a report is there and finite."""
    return isinstance(value, int | float) and math.isfinite(value)
