from __future__ import annotations

import random
from itertools import pairwise

import pytest

from dialogue.metrics.diversity import lexical_diversity


def mtld(replies: dict[str, str]) -> float:
    rows = list(lexical_diversity(replies))
    return sum(num_words for _, num_words, _ in rows) / sum(factors for *_, factors in rows)


def test_factors_by_hand() -> None:
    # a a: one type of two words, 0.5, ends a factor; twice from either side.
    assert list(lexical_diversity({"1": "a a, a a!"})) == [("1", 4.0, 2.0)]
    # Onwards a b c a is 3/4, then b is 3/5: one factor. Back b a c b a: the same.
    assert list(lexical_diversity({"1": "a b c a b"})) == [("1", 5.0, 1.0)]
    # Onwards nothing is complete: 3/4 is 0.25 of the way where 0.28 ends it.
    (row,) = lexical_diversity({"1": "a b c a"})
    assert row == ("1", 4.0, pytest.approx(0.25 / 0.28))


def test_replies_are_one_text_by_id() -> None:
    rows = list(lexical_diversity({"2": "a a", "1": "a a", "3": "..."}))
    assert rows == [("1", 2.0, 1.0), ("2", 2.0, 1.0), ("3", 0.0, 0.0)]
    # One word each: only together are they a factor; it ends in the second, or back in the first.
    rows = list(lexical_diversity({"1": "yes", "2": "yes"}))
    assert rows == [("1", 1.0, 0.5), ("2", 1.0, 0.5)]
    assert list(lexical_diversity({"1": "all of it new"})) == [("1", 4.0, 0.0)]
    assert list(lexical_diversity({})) == []


def test_more_of_the_same_text_is_no_less_diverse() -> None:
    """Distinct-1 halves with every doubling; this is what MTLD is for."""
    generator = random.Random(5)
    words = [f"w{i}" for i in range(120)]
    found = {n: mtld({"1": " ".join(generator.choices(words, k=n))}) for n in (400, 1_600, 6_400)}
    for short, long in pairwise(found.values()):
        assert long == pytest.approx(short, rel=0.15)
    few = mtld({"1": " ".join(generator.choices(words[:30], k=1_600))})
    assert few < 0.5 * found[1_600]
