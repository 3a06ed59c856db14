"""What is learned from ratings, and what is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dialogue.harvest import Harvest, harvest
from dialogue.records import Split, Turn, split_of, words_digest
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

    def harvest(
        self,
        *,
        learned: Sequence[Sequence[Turn]] = (),
        tried: Sequence[Sequence[Turn]] = (),
        held_out: float = 0.0,
        max_per_user: int = 99,
    ) -> Harvest:
        """Harvest where a share of the dialogues, by their words, is held out for tests."""

        def split(turns: Sequence[Turn]) -> Split:
            return split_of(words_digest(turns), held_out, 0.0)

        return harvest(
            self.answers,
            self.ratings,
            learned=learned,
            tried=tried,
            split=split,
            max_per_user=max_per_user,
        )


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


def test_what_the_cap_refuses_is_in_nobodys_way(service: Service) -> None:
    """Neither the same dialogue of somebody else, nor a beginning of it."""
    first = service.say("hi", "hello", user="ann")
    service.say("hey", "hello there", user="ann")
    service.say("how are you?", "fine", user="ann")
    service.say("how are you?", "fine", "good", "indeed", user="ann")
    same = service.say("hey", "hello there", user="bob")
    beginning = service.say("how are you?", "fine", user="eve")
    found = service.harvest(max_per_user=1)
    assert kept(found) == [first, same, beginning]
    assert found.reasons == {"more than 1 of one user": 3}


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


@pytest.mark.parametrize("finish", ["length", "cancelled"])
def test_nobody_learns_to_stop_where_an_earlier_reply_was_cut(
    service: Service, finish: str
) -> None:
    service.say("hi", "hello the", thumb=None, finish=finish)
    liked = service.say("hi", "hello the", "go on", "re")
    assert service.harvest().reasons == {"it holds a reply that did not come to its end": 1}
    service.say("hi", "hello the", thumb=None)
    assert kept(service.harvest()) == [liked], "somebody else was told so to the end"


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
    old = service.say("hi", "hello")
    learned = dialogues(service.harvest())
    new = service.say("bye", "see you")
    found = service.harvest(learned=learned)
    assert kept(found) == [new]
    assert {aside.reply_id for aside in found.set_aside} == {old}
    assert found.reasons == {"learned in an earlier round": 1}


def test_what_was_tried_is_kept_again_after_what_is_new(service: Service) -> None:
    """Else a user whose share a rejected round filled could never add anything."""
    for number in range(3):
        service.say(f"ask {number}", "told")
    tried = dialogues(service.harvest())
    assert service.harvest(tried=tried, max_per_user=3).num_new == 0
    new = [service.say(f"beg {number}", "given") for number in range(2)]
    found = service.harvest(tried=tried, max_per_user=3)
    assert kept(found) == [*new, "r0"]
    assert found.num_new == 2


def test_beginnings_of_what_was_learned_are_not_learned_again(service: Service) -> None:
    """Without a new word said, a second round has nothing to learn, however long the talk was."""
    for conversation in range(3):
        said: list[str] = []
        for turn in range(5):
            said += [f"{conversation} asks {turn}", f"{conversation} is told {turn}"]
            service.say(*said)
    first = service.harvest()
    assert kept(first) == ["r4", "r9", "r14"]
    again = service.harvest(learned=dialogues(first))
    assert kept(again) == []
    assert again.reasons == {"learned in an earlier round": 15}


def test_copies_of_what_was_learned_are_not_learned_again(service: Service) -> None:
    for user in ("ann", "bob", "cem", "dot"):
        service.say("hi", "hello", user=user)
    learned = dialogues(service.harvest())
    assert kept(service.harvest(learned=learned)) == []
    service.say("HI ", "hello", user="eve")
    assert kept(service.harvest(learned=learned)) == []


def test_what_continues_a_learned_dialogue_stays_in_its_split(service: Service) -> None:
    """Neither does a test repeat what was learned, nor a lesson what is held out."""
    for number in range(40):
        service.say(f"ask {number}", f"told {number}")
    learned = dialogues(service.harvest(held_out=0.5))
    for number in range(40):
        service.say(f"ask {number}", f"told {number}", f"more {number}", f"there {number}")
    found = service.harvest(learned=learned, held_out=0.5)
    assert 5 < len(found.kept) < 35
    assert all(is_test(each.turns) == is_test(each.history[:2]) for each in found.kept)
    straddling = [aside.reply_id for aside in found.set_aside if "beginning" in aside.reason]
    assert len(straddling) == 40 - len(found.kept)
    assert found.reasons == {
        "learned in an earlier round": 40,
        "an earlier round holds its beginning, in another split": len(straddling),
    }


def test_another_end_of_a_learned_dialogue_stays_in_its_split(service: Service) -> None:
    """As after a reply that was asked for again."""
    for number in range(40):
        service.say(f"ask {number}", f"told {number}", "and?", "nothing")
        service.say(f"ask {number}", f"told {number}", thumb=None)
    learned = dialogues(service.harvest(held_out=0.5))
    for number in range(40):
        service.say(f"ask {number}", f"told {number}", "and?", f"something {number}")
    found = service.harvest(learned=learned, held_out=0.5)
    assert 5 < len(found.kept) < 35
    of = {turns[0].text: is_test(turns) for turns in learned}
    assert all(is_test(each.turns) == of[each.turns[0].text] for each in found.kept)


def test_an_opening_that_stands_in_every_split_holds_nothing_back(service: Service) -> None:
    service.say("hi", "hello", thumb=None)
    for number in range(40):
        service.say("hi", "hello", f"ask {number}", f"told {number}")
    learned = dialogues(service.harvest(held_out=0.5))
    assert {is_test(turns) for turns in learned} == {True, False}
    for number in range(40):
        service.say("hi", "hello", f"beg {number}", f"given {number}")
    assert len(service.harvest(learned=learned, held_out=0.5).kept) == 40


def test_a_shorter_one_is_kept_where_the_longer_one_falls_into_another_split(
    service: Service,
) -> None:
    service.say("ask", "told")
    learned = dialogues(service.harvest())
    side, texts = is_test(learned[0]), ["ask", "told"]
    while len(texts) < 60:
        texts += [f"more {len(texts)}", "there"]
        service.say(*texts)
    found = service.harvest(learned=learned, held_out=0.5)
    same = [answer.id for answer in service.answers[1:] if is_test(answer.turns) == side]
    assert kept(found) == same[-1:]


def dialogues(found: Harvest) -> list[tuple[Turn, ...]]:
    return [answer.turns for answer in found.kept]


def is_test(turns: Sequence[Turn]) -> bool:
    return split_of(words_digest(turns), 0.5, 0.0) == "test"
