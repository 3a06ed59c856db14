from __future__ import annotations

import pytest

from dialogue.config import Promote
from dialogue.infrastructure import judge_server

BOUNDS = Promote(
    approval="auto",
    smoke_prompts=("Hello",),
    smoke_repeats=1,
    smoke_seconds=30.0,
    max_start_seconds=60.0,
    max_p95_seconds=2.0,
    max_memory_mib=1_000.0,
)


def test_one_slow_answer_of_twenty_is_allowed_and_two_are_not() -> None:
    def judged(slow: int) -> str:
        seconds = [1.0] * (20 - slow) + [9.0] * slow
        return judge_server(
            start_seconds=4.2, answer_seconds=seconds, peak_rss_mib=812.0, bounds=BOUNDS
        ).sentence

    assert judged(1) == (
        "PASS: 20 answers, start 4.2 s (60 allowed), 95 % within 1 s (2 allowed), "
        "memory 812 MiB (1,000 allowed)"
    )
    assert judged(2) == "FAIL: 95 % within 9 s (2 allowed), by promote.max_p95_seconds"


def test_what_was_not_measured_fails() -> None:
    found = judge_server(
        start_seconds=4.2, answer_seconds=[1.0], peak_rss_mib=float("nan"), bounds=BOUNDS
    )
    assert [check.name for check in found.failures] == ["memory"]
    assert found.to_json()["checks"][2]["passed"] is False
    with pytest.raises(ValueError, match="asked nothing"):
        judge_server(start_seconds=1.0, answer_seconds=[], peak_rss_mib=1.0, bounds=BOUNDS)
