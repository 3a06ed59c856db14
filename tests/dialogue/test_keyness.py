"""Keywords of two profiles, against a table whose ratio can be written down."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
import pytest

from dialogue import keyness
from dialogue.drift import Profile, profile
from dialogue.keyness import keywords


def profiled(*dialogues: Sequence[str]) -> Profile:
    return profile(dialogues)


def test_the_ratio_of_a_two_by_two_table() -> None:
    """10 of 100 words before, 30 of 100 after; 20 % is what both have in common."""
    ratio = keyness._log_likelihood_ratio(np.array([10.0]), np.array([30.0]), 100, 100)
    apart = 10 * log(0.1) + 90 * log(0.9) + 30 * log(0.3) + 70 * log(0.7)
    together = 40 * log(0.2) + 160 * log(0.8)
    assert ratio[0] == pytest.approx(2 * (apart - together))
    assert keyness._log_likelihood_ratio(np.array([7.0]), np.array([7.0]), 9, 9)[0] == 0


def test_what_rose_and_what_fell() -> None:
    before = profiled(*[["the wifi is slow"]] * 50)
    after = profiled(*[["the router is slow"]] * 50)
    more, less = keywords(before, after, 10)
    assert [(word.word, word.before, word.after) for word in more] == [("router", 0.0, 250.0)]
    assert [(word.word, word.before, word.after) for word in less] == [("wifi", 250.0, 0.0)]


def test_chance_is_no_change_and_the_number_is_kept() -> None:
    before = profiled(*[["yes no"]] * 50, *[["maybe"]] * 10)
    after = profiled(*[["yes no"]] * 50, *[["maybe"]] * 12)
    assert keywords(before, after, 10) == ([], [])
    changed = profiled(*[["red green blue black"]] * 50)
    more, less = keywords(before, changed, 2)
    assert [word.word for word in more] == ["black", "blue"]
    assert [word.word for word in less] == ["no", "yes"]
