"""The infrastructure verdict: does a model, served as people will meet it, keep within bounds?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dialogue.config import Promote


@dataclass(frozen=True, slots=True)
class Check:
    """One measure of a running server, and the most it may be."""

    name: str
    value: float
    bound: float
    unit: str
    setting: str
    """The setting that is the bound."""

    @property
    def passed(self) -> bool:
        """Whether it was measured, and kept."""
        return self.value <= self.bound

    def __str__(self) -> str:
        return f"{self.name} {self.value:,.4g} {self.unit} ({self.bound:,.4g} allowed)"


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """What was measured of a server that answered `num_answers` questions in full."""

    num_answers: int
    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[Check, ...]:
        """The bounds that were not kept."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def sentence(self) -> str:
        """PASS or FAIL, and why."""
        if self.failures:
            broken = "; ".join(f"{each}, by promote.{each.setting}" for each in self.failures)
            return f"FAIL: {broken}"
        return f"PASS: {self.num_answers} answers, {', '.join(map(str, self.checks))}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        checks = [asdict(check) | {"passed": check.passed} for check in self.checks]
        return {"sentence": self.sentence, "num_answers": self.num_answers, "checks": checks}


def judge_server(
    *, start_seconds: float, answer_seconds: Sequence[float], peak_rss_mib: float, bounds: Promote
) -> Infrastructure:
    """Hold a server against `promote`'s bounds.

    Args:
        start_seconds: from its start until it was ready, the model's files checked.
        answer_seconds: what each answer took, one after the other.
        peak_rss_mib: the most resident memory it ever had.
        bounds: the bounds.

    Raises:
        ValueError: nothing was answered.
    """
    if not answer_seconds:
        raise ValueError("a server that was asked nothing cannot be judged")
    ranked = sorted(answer_seconds)
    p95 = ranked[math.ceil(0.95 * len(ranked)) - 1]
    return Infrastructure(
        len(ranked),
        (
            Check("start", start_seconds, bounds.max_start_seconds, "s", "max_start_seconds"),
            Check("95 % within", p95, bounds.max_p95_seconds, "s", "max_p95_seconds"),
            Check("memory", peak_rss_mib, bounds.max_memory_mib, "MiB", "max_memory_mib"),
        ),
    )
