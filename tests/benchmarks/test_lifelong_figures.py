from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import _lifelong_figures
from benchmarks._lifelong_figures import Result, figures_of


def result(name: str, newest: list[float], forgotten: float, seed: int = 1) -> Result:
    """Two lessons; what is measured of the newest domain, and of the first one after it."""
    number = len(newest)

    def rows(values: list[float]) -> dict[str, list[list[float]]]:
        return {"bits_per_byte": [[value, 1.0] for value in values]}

    one = rows([1.0] * number)
    scores = {
        "base": {"first": rows([3.0] * number), "second": rows([3.0] * number)},
        "first": {"first": one, "second": rows([3.0] * number)},
        "second": {"first": rows([forgotten] * number), "second": rows(newest)},
    }
    found = {"scores": scores, "costs": [{"cpu_seconds": 1.0}], "memory_bytes": 1.0}
    return Result(name, "order", seed, found)


@pytest.mark.parametrize("number", [30, 200])
def test_an_interval_is_of_as_many_dialogues_as_were_asked(number: int) -> None:
    values = 1.0 + 0.1 * np.random.default_rng(3).standard_normal(number)
    ones = [1.0] * number
    runs = [
        result("ours", values.tolist(), 1.0),
        result("naive", ones, 2.0),
        result("joint", ones, 1.0),
    ]
    figures = figures_of(runs, "ours", 1)
    width = figures["newest_domain_gap_high"] - figures["newest_domain_gap_low"]
    expected = 2 * 1.96 * values.std(ddof=1) / math.sqrt(number)
    assert width == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("number", [2, 5])
def test_an_interval_knows_how_few_runs_there_are(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that differ by chance, of an exam without any: the truth lies within 95 of 100."""
    monkeypatch.setattr(_lifelong_figures, "_RESAMPLES", 60)
    generator, covered = np.random.default_rng(number), []
    for _ in range(40):
        runs = []
        for seed, shift in enumerate(0.1 * generator.standard_normal(number)):
            runs += [
                result("ours", [1.0 + shift] * 2, 1.0, seed),
                result("naive", [1.0] * 2, 2.0, seed),
                result("joint", [1.0] * 2, 1.0, seed),
            ]
        figures = figures_of(runs, "ours", 1)
        covered.append(figures["newest_domain_gap_low"] <= 0 <= figures["newest_domain_gap_high"])
    assert np.mean(covered) >= 0.88
