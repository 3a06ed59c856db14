"""What is learned from ratings, and what is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dialogue.harvest import Harvest, harvest
from dialogue.records import Turn
from dialogue.serving.store import Answer, Opinion, Rating


class Service:
    """A server's life in short: conversations, and thumbs."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.ratings: dict[str, Rating] = {}

    def say(
        self,
        *texts: str,
        thumb: Opinion | None = "up",
        user: str | None = "ann",
        finish: str = "stop",
    ) -> str:
        """Serve the last text as the reply to those before it."""
        roles = ("user", "assistant")
        history = tuple(Turn(roles[i % 2], text) for i, text in enumerate(texts[:-1]))  # type: ignore[arg-type]
        reply_id = f"r{len(self.answers)}"
        answer = Answer(
            reply_id, "t", "perennial", "1", "d", user, None, history, texts[-1], finish, 5, 5, 0.1
        )
        self.answers.append(answer)
        if thumb is not None:
            self.ratings[reply_id] = Rating(reply_id, "t", thumb, "")
        return reply_id

    def harvest(self, *, learned: Sequence[str] = (), max_per_user: int = 99) -> Harvest:
        return harvest(self.answers, self.ratings, learned=learned, max_per_user=max_per_user)


@pytest.fixture
def service() -> Service:
    return Service()


def kept(found: Harvest) -> list[str]:
    return [answer.id for answer in found.kept]


def test_only_thumbs_up_are_kept(service: Service) -> None:
    liked = service.say("hi", "hello")
    service.say("hi", "what", thumb="down")
    service.say("hi", "so", thumb=None)
    found = service.harvest()
    assert kept(found) == [liked]
    assert found.set_aside == ()
    assert [turn.text for turn in found.kept[0].turns] == ["hi", "hello"]


def test_the_longest_of_a_conversation_is_kept(service: Service) -> None:
    first = service.say("hi", "hello")
    second = service.say("hi", "hello", "how are you?", "fine", thumb=None)
    third = service.say("hi", "hello", "how are you?", "fine", "good", "indeed")
    found = service.harvest()
    assert kept(found) == [third]
    assert found.reasons == {"a longer dialogue that is kept contains it": 1}
    assert {aside.reply_id for aside in found.set_aside} == {first}
    assert second not in {aside.reply_id for aside in found.set_aside}


def test_the_same_dialogue_counts_once(service: Service) -> None:
    first = service.say("Hi", "hello")
    service.say("hi ", "Hello", user="bob")
    assert kept(service.harvest()) == [first]
    assert service.harvest().reasons == {"the same dialogue is kept already": 1}


def test_a_dialogue_with_a_disliked_reply_is_set_aside(service: Service) -> None:
    service.say("hi", "go away", thumb="down")
    service.say("hi", "go away", "sorry?", "hello there")
    found = service.harvest()
    assert kept(found) == []
    assert found.reasons == {"it holds a reply that was rated down": 1}


def test_words_put_into_the_models_mouth_are_set_aside(service: Service) -> None:
    service.say("hi", "I was never said", "again", "hello")
    assert service.harvest().reasons == {"it holds an assistant turn that was not served here": 1}


@pytest.mark.parametrize("finish", ["length", "cancelled"])
def test_unfinished_replies_are_set_aside(service: Service, finish: str) -> None:
    service.say("hi", "hello the", finish=finish)
    reason = f"the reply did not come to its end ({finish})"
    assert service.harvest().reasons == {reason: 1}


def test_empty_replies_are_set_aside(service: Service) -> None:
    service.say("hi", " \n")
    assert service.harvest().reasons == {"the reply is empty": 1}


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("write to ann.b+c@example.co.uk", "an e-mail address"),
        ("call +49 (0)151 2345 6789", "a telephone number"),
        ("4111-1111-1111-1111 is my card", "a card number"),
        ("pay to DE89 3704 0044 0532 0130 00", "an account number"),
        ("I am at 192.0.2.17", "an IP address"),
        ("my password is hunter2", "a key or a password"),
    ],
)
def test_personal_data_is_set_aside(service: Service, said: str, what: str) -> None:
    service.say(said, "sure")
    service.say("who are you?", said)
    found = service.harvest()
    assert kept(found) == []
    assert found.reasons == {f"it seems to hold {what}": 2}


@pytest.mark.parametrize(
    "said",
    ["in 2024 I was 33", "at 10:30, room 7", "me @ home", "version 10.0.0", "order 123456789"],
)
def test_ordinary_figures_are_no_personal_data(service: Service, said: str) -> None:
    liked = service.say(said, "sure")
    assert kept(service.harvest()) == [liked]


def test_no_user_teaches_more_than_their_share(service: Service) -> None:
    for user in ("ann", "bob", None):
        for index in range(3):
            service.say(f"{user} {index}", "hello", user=user)
    found = service.harvest(max_per_user=2)
    assert kept(found) == ["r0", "r1", "r3", "r4", "r6", "r7"]
    assert found.reasons == {"more than 2 of one user": 3}


def test_nothing_is_learned_twice(service: Service) -> None:
    old, new = service.say("hi", "hello"), service.say("bye", "see you")
    found = service.harvest(learned=[old])
    assert kept(found) == [new]
    assert found.reasons == {"learned in an earlier round": 1}
