from __future__ import annotations

from dataclasses import replace

from dialogue.exam import compose_exam, exam_digest
from dialogue.records import Dialogue, Turn


def chat(key: str, domain: str = "chitchat", text: str = "hello") -> Dialogue:
    turns = (Turn("user", "hi"), Turn("assistant", text))
    return Dialogue(key, turns, domain, "test", "s", "o", "MIT", "d")


def test_the_parents_exam_comes_first_and_the_smallest_ids_stay() -> None:
    before = [chat("9"), chat("1")]
    new = [chat(key, "support") for key in "5381"]
    exam = compose_exam([*before, *new], max_dialogues=3)
    assert list(exam) == ["chitchat", "support"]
    assert [dialogue.id for dialogue in exam["chitchat"]] == ["1", "9"]
    assert [dialogue.id for dialogue in exam["support"]] == ["1", "3", "5"]


def test_a_larger_exam_contains_the_smaller_one() -> None:
    new = [chat(str(number)) for number in range(30)]
    small, large = (compose_exam(new, size)["chitchat"] for size in (5, 20))
    assert large[:5] == small


def test_the_smallest_ids_stay_however_many_come_and_when() -> None:
    keys = [f"{7 * number % 101:03}" for number in range(101)]
    (kept,) = compose_exam((chat(key) for key in keys), 4).values()
    assert [dialogue.id for dialogue in kept] == ["000", "001", "002", "003"]
    assert [d.id for d in compose_exam(map(chat, keys), 1)["chitchat"]] == ["000"]


def test_what_asks_nothing_or_comes_twice_is_left_out() -> None:
    silent = replace(chat("0"), turns=(Turn("user", "anybody there?"),))
    assert compose_exam([silent, chat("1"), chat("1")], 10) == {"chitchat": [chat("1")]}


def test_the_digest_knows_content_and_domain_but_no_order() -> None:
    exam = [chat("1"), chat("2", "support")]
    assert exam_digest(exam) == exam_digest(exam[::-1])
    assert exam_digest(exam) != exam_digest(exam[:1])
    assert exam_digest(exam) != exam_digest([chat("1", text="bye"), exam[1]])
    assert exam_digest(exam) != exam_digest([chat("1", "support"), exam[1]])
    assert len(exam_digest([])) == 64
