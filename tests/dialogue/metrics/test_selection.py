from __future__ import annotations

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from dialogue.metrics.question import ANSWER_TOKENS, Question, questions
from dialogue.metrics.selection import distractors, rank, without_history
from dialogue.records import Dialogue, Role, Turn


def dialogue(name: str, *texts: str, roles: tuple[Role, ...] = ("user", "assistant")) -> Dialogue:
    turns = tuple(Turn(roles[i % len(roles)], text) for i, text in enumerate(texts))
    return Dialogue(name, turns, "chitchat", "test", "s", "o", "MIT", "d")


@pytest.fixture
def asked(tokenizer: PreTrainedTokenizerFast) -> list[Question]:
    answers = ("fine", "so so", "never better", "fine", "who wants to know?", "ask me later")
    chats = [dialogue(str(i), "how are you?", text) for i, text in enumerate(answers)]
    return list(questions(chats, tokenizer, 100))


def test_distractors_are_other_answers_each_once(asked: list[Question]) -> None:
    branches = distractors(asked[0], asked, 4, seed=1)
    found = {tuple(branch.tokens.ids.tolist()) for branch in branches}
    assert found == {tuple(q.answer_ids.tolist()) for q in asked} - {
        tuple(asked[0].answer_ids.tolist())
    }
    assert all(branch.start == asked[0].answer for branch in branches)
    assert all(branch.tokens.mask.all() for branch in branches)


def test_too_few_different_answers_are_no_test(asked: list[Question]) -> None:
    assert distractors(asked[0], asked, 5, seed=1) == ()


def test_the_choice_depends_on_seed_and_dialogue_alone(asked: list[Question]) -> None:
    def chosen(question: Question, seed: int) -> list[list[int]]:
        return [b.tokens.ids.tolist() for b in distractors(question, asked, 2, seed)]

    assert chosen(asked[0], 1) == chosen(asked[0], 1)
    assert len({str(chosen(asked[0], seed)) for seed in range(10)}) > 1


def test_long_answers_are_compared_by_their_beginning(tokenizer: PreTrainedTokenizerFast) -> None:
    (question,) = questions([dialogue("x", "tell me", "a long story " * 20)], tokenizer, 400)
    assert len(question.answer_ids) == ANSWER_TOKENS < question.answer_length


def test_without_history_only_the_opening_is_left(
    asked: list[Question], tokenizer: PreTrainedTokenizerFast
) -> None:
    (branch,) = without_history(asked[1])
    assert branch.start == 0
    assert tokenizer.decode(branch.tokens.ids) == "<|im_start|>assistant\nso so<|im_end|>"
    assert tokenizer.decode(branch.tokens.ids[branch.tokens.mask]) == "so so<|im_end|>"


def test_a_dialogue_that_begins_with_its_answer_has_no_history(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    (question,) = questions([dialogue("x", "welcome", roles=("assistant",))], tokenizer, 100)
    assert without_history(question) == ()


def test_rank_by_hand() -> None:
    true = np.array([-1.0, -2.0])
    longer_but_likelier = np.array([-1.4, -1.4, -1.4])
    assert rank(true, [np.array([-3.0]), np.array([-1.6])]) == 1
    assert rank(true, [longer_but_likelier, np.array([-9.0])]) == 2
    assert rank(true, [np.array([-1.5])]) == 2
