from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from dialogue.card.forest import ChangeScale, Strip, absolute_strip, threshold
from dialogue.verdict import Finding
from tests.dialogue.card.cards import absolute, comparison, missing

GAIN = Finding(
    "better than the base",
    "gain_over_base",
    "chitchat",
    "bound",
    "passed",
    "",
    value=0.2,
    interval=(0.1, 0.4),
    bound=0.0,
    asks="at least",
)


def plain(*findings: Finding) -> list[dict[str, Any]]:
    return [finding.to_json() for finding in findings]


def test_right_is_better_and_all_comparisons_share_one_scale() -> None:
    findings = plain(
        comparison("chitchat", -0.171, "failed"),
        comparison("support", 0.011, "passed"),
        comparison("assistant", 0.31, "passed", "superiority"),
    )
    scale = ChangeScale(findings)
    worse, same, better = map(scale.strip, findings)
    assert worse.value is not None
    assert same.value is not None
    assert better.value is not None
    assert worse.bound == same.bound == pytest.approx(scale.position(-0.02))
    assert worse.zero == same.zero == better.zero == better.bound
    assert 0 < worse.value < scale.position(-0.02) < scale.position(0) < same.value < better.value
    for strip in (worse, same, better):
        assert strip.low is not None
        assert strip.high is not None
        assert 0 < strip.low < strip.value < strip.high < 100  # type: ignore[operator]


def test_the_alarm_forbids_what_is_better_than_its_bound() -> None:
    finding = plain(comparison("support", 0.8, "failed", "suspicion", 0.5))
    strip = ChangeScale(finding).strip(finding[0])
    assert strip.bound_is_ceiling
    assert strip.bound is not None
    assert strip.value is not None
    assert strip.bound < strip.value


def test_ticks_have_room_and_stand_where_they_say() -> None:
    for change in (0.001, 0.03, 0.3, 5.0, 90.0):
        scale = ChangeScale(
            plain(comparison("a", change, "passed"), comparison("b", -0.1, "failed"))
        )
        ticks = scale.ticks()
        assert 0.0 in [value for _, value in ticks]
        places = [place for place, _ in ticks]
        assert all(after - before > 10 for before, after in itertools.pairwise(places))
        assert all(place == scale.position(value) for place, value in ticks)


def test_an_absolute_bound_stands_in_the_middle() -> None:
    low, high = plain(absolute("chitchat", 35.0, "passed"), absolute("chitchat", 71.0, "failed"))
    good, bad = absolute_strip(low), absolute_strip(high)
    assert good.bound == bad.bound == 50
    assert good.value == pytest.approx(50 + 47 * 25 / 60), "25 below a bound of 60"
    assert good.low == pytest.approx(50 + 47 * (60 - 45.5) / 60), "the worse end is to the left"
    assert bad.value is not None
    assert bad.value < 50
    (gain,) = plain(GAIN)
    assert absolute_strip(gain) == Strip(
        bound=50.0, value=50 + 47 * 0.5, low=50 + 47 * 0.25, high=97.0
    )


def test_what_was_not_measured_is_not_drawn() -> None:
    assert absolute_strip(plain(absolute("support", None, "failed"))[0]) == Strip()
    finding = plain(missing("chitchat"))
    assert ChangeScale(finding).strip(finding[0]).value is None
    endless = plain(
        replace(comparison("a", 0.1, "failed"), change=float("inf"), champion_value=0.0, bound=0.0)
    )
    strip = ChangeScale(endless).strip(endless[0])
    assert strip.value is None


def test_the_threshold_is_relative_to_the_champion() -> None:
    findings = plain(
        comparison("a", 0.0, "passed"),
        comparison("a", 0.0, "passed", "superiority"),
        comparison("a", 0.0, "passed", "suspicion", 0.5),
        replace(comparison("a", 0.0, "passed"), champion_value=0.0, bound=0.0),
    )
    assert list(map(threshold, findings)) == pytest.approx([-0.02, 0.0, 0.5, -0.02])
