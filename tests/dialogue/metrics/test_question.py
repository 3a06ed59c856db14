from __future__ import annotations

from transformers import PreTrainedTokenizerFast

from dialogue.metrics.question import questions
from dialogue.records import Dialogue, Role, Turn


def dialogue(name: str, *texts: str, roles: tuple[Role, ...] = ("user", "assistant")) -> Dialogue:
    turns = tuple(Turn(roles[i % len(roles)], text) for i, text in enumerate(texts))
    return Dialogue(name, turns, "chitchat", "test", "s", "o", "MIT", "d")


def test_a_question_ends_with_its_answer(tokenizer: PreTrainedTokenizerFast) -> None:
    chat = dialogue("x", "hi", "hello", "bye", "see you", "(leaves)")
    (question,) = questions([chat], tokenizer, 100)
    assert [turn.text for turn in question.turns] == ["hi", "hello", "bye", "see you"]
    assert tokenizer.decode(question.tokens.ids[question.answer :]) == "see you<|im_end|>"
    assert question.tokens.mask[question.answer :].all()
    assert question.answer_length == len(question.tokens.ids) - question.answer
    assert question.num_bytes == len(b"hellosee you")
    for start, turn in zip(question.starts, question.turns, strict=True):
        text = tokenizer.decode(question.tokens.ids[start:])
        assert text.startswith(f"<|im_start|>{turn.role}\n{turn.text}")


def test_bytes_are_counted_not_characters(tokenizer: PreTrainedTokenizerFast) -> None:
    (question,) = questions([dialogue("x", "hi", "naïve 你好")], tokenizer, 100)
    assert question.num_bytes == len("naïve 你好".encode())


def test_what_does_not_fit_is_not_asked(tokenizer: PreTrainedTokenizerFast) -> None:
    chat = dialogue("x", *(f"turn number {i}" for i in range(10)))
    (question,) = questions([chat], tokenizer, 60)
    assert len(question.tokens.ids) <= 60
    assert 2 <= len(question.turns) < 10
    assert question.turns == chat.turns[-len(question.turns) :]


def test_a_turn_that_lost_its_beginning_is_still_a_turn(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    (question,) = questions([dialogue("x", "why? " * 50, "because")], tokenizer, 40)
    assert len(question.turns) == len(question.starts) == 2
    assert question.starts[0] == 0
    assert question.tokens.ids[0] != question.tokens.ids[question.starts[1]]


def test_a_dialogue_without_a_response_asks_nothing(tokenizer: PreTrainedTokenizerFast) -> None:
    assert list(questions([dialogue("x", "hello?", roles=("user",))], tokenizer, 100)) == []
