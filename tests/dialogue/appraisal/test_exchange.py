from __future__ import annotations

import pytest

from dialogue.appraisal.exchange import View, tidy, view


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Do n ' t you ?", "Do n't you?"),
        ("It ’ s fine , thanks .", "It’s fine, thanks."),
        ("two\nlines  here", "two lines here"),
        ("costs .50 or :) ?", "costs .50 or:)?"),
        ("x" * 1_200, "x" * 1_000),
    ],
)
def test_tokenized_text_is_joined(text: str, wanted: str) -> None:
    assert tidy(text) == wanted


def test_short_contexts_are_read_whole() -> None:
    assert view(("a", "b")) == View(0, ("a", "b"))
    assert view(()) == View(0, ())


def test_long_contexts_are_read_from_a_turn_within_the_last_two_kilobytes() -> None:
    context = tuple(f"{number:100d}" for number in range(90))
    context = tuple(text.replace(" ", "x") for text in context)
    begins = [view(context[:length]).first for length in range(len(context))]
    for length, first in enumerate(begins):
        found = view(context[:length])
        size = sum(map(len, found.turns))
        assert found.turns == context[first:length]
        assert size <= 2_048
        assert size > 900 or first == 0
    assert begins == sorted(begins)
    assert len(set(begins)) < 12, "it moves rarely, so that turns are read together"


def test_a_long_last_turn_is_read_all_the_same() -> None:
    assert view(("short", "y" * 5_000)).turns[-1] == "y" * 1_000
    found = view(("é" * 1_000,) * 4)
    assert found.turns
