from __future__ import annotations

import pytest

from dialogue.records import Turn
from dialogue.satisfaction import Satisfaction, satisfaction
from dialogue.serving.store import Answer, Opinion, Rating


def answer(
    name: str,
    version: str,
    conversation: str | None = None,
    said: str = "hi",
    user: str | None = "ann",
) -> Answer:
    history = (Turn("user", "hello there, you"), Turn("assistant", "ho"), Turn("user", said))
    return Answer(
        name,
        "2026-11-24",
        "bot",
        version,
        "d",
        user,
        conversation,
        history,
        "ho",
        "stop",
        5,
        5,
        0.1,
    )


def rated(**opinions: Opinion) -> dict[str, Rating]:
    return {name: Rating(name, "2026-11-24", opinion, "") for name, opinion in opinions.items()}


def test_wilsons_interval_by_hand() -> None:
    answers = [answer(name, "1") for name in "abcde"]
    found = satisfaction(answers, rated(a="up", b="up", c="up", d="down"))["bot@1"]
    assert (found.replies, found.rated, found.satisfied) == (5, 4, 0.75)
    # z² = 3.8415: centre (0.75 + z²/8) / (1 + z²/4), half width z √(0.1875/4 + z²/64) / (1 + z²/4).
    assert (found.low, found.high) == pytest.approx((0.3006, 0.9544), abs=1e-4)


def test_versions_stand_apart_in_order_of_service() -> None:
    answers = [answer("a", "2"), answer("b", "1"), answer("c", "2")]
    found = satisfaction(answers, rated(a="down", b="up", unserved="up"))
    assert list(found) == ["bot@2", "bot@1"]
    assert (found["bot@2"].satisfied, found["bot@2"].low) == (0.0, 0.0)
    assert found["bot@1"].satisfied == found["bot@1"].high == 1.0


def test_engagement_is_turns_of_named_conversations_and_words() -> None:
    answers = [
        answer("a", "1", "x"),
        answer("b", "1", "x"),
        answer("c", "1", "y", said="I live\nby the sea."),
        answer("d", "1", said="why?"),
    ]
    found = satisfaction(answers, {})["bot@1"]
    assert (found.conversations, found.turns_per_conversation) == (2, 1.5)
    assert found.words_per_turn == (1 + 1 + 5 + 1) / 4


def test_a_conversation_is_one_users() -> None:
    """Both clients count their conversations from 1; nobody said whose the last one is."""
    users = ("ann", "bob", "ann", "bob", None)
    answers = [answer(str(i), "1", "1", user=user) for i, user in enumerate(users)]
    found = satisfaction(answers[:4], {})["bot@1"]
    assert (found.conversations, found.turns_per_conversation) == (2, 2.0)
    assert satisfaction(answers, {})["bot@1"].conversations == 3


def test_nothing_said_of_it_is_no_opinion() -> None:
    assert satisfaction([], {}) == {}
    assert satisfaction([answer("a", "1")], {})["bot@1"] == Satisfaction(
        1, 0, None, None, None, 0, None, 1.0
    )
