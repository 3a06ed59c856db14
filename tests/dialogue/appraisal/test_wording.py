from __future__ import annotations

import pytest

from dialogue.appraisal.exchange import Exchange
from dialogue.appraisal.wording import copied, words


def test_what_is_copied_by_hand() -> None:
    """Four of six words stand in one turn in that order."""
    before = ("I like tea with milk", "so do I")
    assert copied(Exchange(before, "You like tea with milk too")) == pytest.approx(4 / 6)
    assert copied(Exchange(before, "I LIKE tea, with milk!")) == 1.0
    assert copied(Exchange(before, "so do I")) == 0.0, "three words prove nothing"
    assert copied(Exchange((), "You like tea with milk too")) == 0.0


def test_scripts_without_spaces_have_words() -> None:
    assert words("我喜欢 tea") == ["我", "喜", "欢", "tea"]
    assert copied(Exchange(("我喜欢喝茶",), "我喜欢喝茶")) == 1.0
