from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.metrics.labels import label_set, macro_f1, macro_f1_shares
from dialogue.records import Dialogue, Turn
from dialogue.statistics import bootstrap

CHAT = Dialogue("x", (Turn("user", "hi"),), "d", "train", "s", "o", "MIT", "d")


def test_the_labels_are_those_of_training() -> None:
    training = [replace(CHAT, label=label) for label in ("b", None, "a", "b")]
    assert label_set(training, 2) == ["a", "b"]
    assert label_set([CHAT], 2) == []
    # Spelled-out entities are no closed set.
    assert label_set(training, 1) == []


def test_macro_f1_by_hand() -> None:
    true, predicted = list("aaab"), list("aabb")
    # a: 2 hits, none wrong, one missed; b: 1 hit, one wrong, none missed.
    assert macro_f1(true, predicted) == pytest.approx((4 / 5 + 2 / 3) / 2)
    # A label that is only ever guessed counts as a class with F1 0.
    assert macro_f1(["a", "a"], ["a", "c"]) == pytest.approx((2 / 3 + 0) / 2)
    assert macro_f1_shares(["a", "b"], ["a", "b"]).tolist() == [1.0, 1.0]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1))
def test_the_shares_mean_is_macro_f1(pairs: list[tuple[str, str]]) -> None:
    true, predicted = ([pair[side] for pair in pairs] for side in (0, 1))
    shares = macro_f1_shares(true, predicted)
    assert shares.mean() == pytest.approx(macro_f1(true, predicted))


def test_the_shares_spread_is_that_of_resampled_dialogues() -> None:
    generator = np.random.default_rng(3)
    true = generator.choice(list("abcde"), size=300, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    guess = np.where(generator.random(300) < 0.7, true, generator.choice(list("abcde"), size=300))
    drawn = [generator.integers(300, size=300) for _ in range(2_000)]
    exact = np.std([macro_f1(list(true[d]), list(guess[d])) for d in drawn])
    shares = macro_f1_shares(list(true), list(guess))
    found = bootstrap(shares[:, None] / 300, lambda sums: sums[..., 0], 2_000, seed=1)
    assert np.std(found.resampled) == pytest.approx(exact, rel=0.1)
