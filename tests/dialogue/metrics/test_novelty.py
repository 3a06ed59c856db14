from __future__ import annotations

import numpy as np
import pytest

from dialogue.metrics.novelty import (
    distinct,
    longest_copy,
    ngrams,
    novel,
    repetition,
    seen_ngrams,
    self_repetition,
    words,
)
from dialogue.records import Dialogue, Turn


def chat(*texts: str) -> Dialogue:
    turns = tuple(Turn("user", text) for text in texts)
    return Dialogue("x", turns, "d", "train", "s", "o", "MIT", "d")


def test_words_and_marks_in_any_script() -> None:
    assert words("Don't PANIC, Zoë!") == ["don", "'", "t", "panic", ",", "zoë", "!"]
    assert words("我喜欢喝茶。") == ["我", "喜", "欢", "喝", "茶", "。"]
    assert words("そうですね") == ["そ", "う", "で", "す", "ね"]
    assert words("สวัสดี hello") == ["ส", "วั", "ส", "ดี", "hello"]
    assert words("नमस्ते दुनिया") == ["नमस्ते", "दुनिया"]
    assert words("안녕하세요 iPhone电池") == ["안녕하세요", "iphone", "电", "池"]
    assert words("Great ❤️!") == ["great", "❤️", "!"]
    assert ngrams("a b c", 2) == [("a", "b"), ("b", "c")]
    assert ngrams("a b c", 4) == []


def test_distinct_adds_up_to_unique_over_total() -> None:
    replies = {"2": "yes yes no", "1": "yes or no", "3": ""}
    rows = list(distinct(replies, 1))
    # The first reply has three new words of three, the second none: all of its were used.
    assert rows == [("1", 3.0, 3.0), ("2", 0.0, 3.0), ("3", 0.0, 0.0)]
    assert sum(new for _, new, _ in rows) == len({"yes", "or", "no"})
    assert [new for _, new, _ in distinct(replies, 2)] == [2.0, 2.0, 0.0]


def test_novel_is_what_no_training_turn_contains() -> None:
    seen = seen_ngrams([chat("The cat sat on the mat.", "unrelated")])
    # the-cat-sat-on, cat-sat-on-a, sat-on-a-hat: the first was seen.
    assert novel("the cat sat on a hat", seen) == (2.0, 3.0)
    assert novel("too short", seen) == (0.0, 0.0)
    assert novel("one two three four", seen_ngrams([])) == (1.0, 1.0)


def test_what_repeats_is_seen_without_spaces() -> None:
    assert repetition("我不知道" * 20) == pytest.approx(1 - 4 / 77)
    assert self_repetition(["我喜欢喝茶"] * 2) == (4.0, 4.0)
    seen = seen_ngrams([chat("我喜欢喝红茶")])
    assert novel("我喜欢喝绿茶", seen) == (2.0, 3.0)
    assert longest_copy("我喜欢喝绿茶", seen) == (4.0, 6.0)


def test_no_run_goes_from_one_turn_to_the_next() -> None:
    seen = seen_ngrams([chat("one two", "three four"), chat("five six"), chat("seven eight")])
    assert len(seen) == 0


def test_what_was_seen_stays_seen() -> None:
    first = seen_ngrams([chat("one two three four")])
    both = seen_ngrams([chat("five six seven eight")], first)
    assert novel("one two three four", both) == (0.0, 1.0)
    assert len(both) == 2
    assert len(seen_ngrams([chat("1 2 3 4 5 6 7 8")])) == 5 + 1
    assert np.array_equal(both, np.unique(both))
    assert np.array_equal(seen_ngrams([chat("one two three four")], first), first)


@pytest.mark.parametrize(
    ("text", "share"),
    [("", 0.0), ("a b c", 0.0), ("a b c d e", 0.0), ("a a a a a a", 2 / 3), ("a b a b a b", 1 / 3)],
)
def test_repetition_by_hand(text: str, share: float) -> None:
    assert repetition(text) == pytest.approx(share)


LETTERS = "a b c d e f g h i j k l m n o p q r s t"


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("x a b c y", 0),
        ("x a b c d y", 4),
        ("a b c d e f g x", 7),
        ("x a b c d e f g h i y b c d e", 9),
        (LETTERS, 20),
        (f"x {LETTERS} y", 20),
        ("", 0),
    ],
)
def test_longest_copy_by_hand(text: str, longest: int) -> None:
    seen = seen_ngrams([chat(LETTERS)])
    assert longest_copy(text, seen) == (longest, len(text.split()))


def test_two_passages_side_by_side_are_no_longer_copy() -> None:
    seen = seen_ngrams([chat("a b c d e f", "u v w x y z")])
    assert longest_copy("a b c d e f u v w x y z", seen) == (6.0, 12.0)
    # Joined by three words that both have, they pass for one of at most seven.
    seen = seen_ngrams([chat("a b c d e f", "d e f u v w")])
    assert longest_copy("a b c d e f u v w", seen) == (7.0, 9.0)


def test_self_repetition_by_hand() -> None:
    # Of a-b, b-c (new) and b-c, c-d: the second turn has no pair of the first, the third one.
    assert self_repetition(["x y", "a b c", "b c d"]) == (1.0, 4.0)
    assert self_repetition(["so it is", "so it is"]) == (2.0, 2.0)
    # What one turn says twice is `repetition`, not this.
    assert self_repetition(["a", "b b b b"]) == (0.0, 3.0)
    assert self_repetition(["alone again alone again"]) == self_repetition([]) == (0.0, 0.0)
