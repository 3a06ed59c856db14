from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from dialogue.metrics.question import ANSWER_TOKENS, Question, questions
from dialogue.metrics.selection import (
    RANKED_TOKENS,
    Distractors,
    Selection,
    latest_history,
    opening,
    rank,
    without_history,
)
from dialogue.records import Dialogue, Role, Turn


def dialogue(name: str, *texts: str, roles: tuple[Role, ...] = ("user", "assistant")) -> Dialogue:
    turns = tuple(Turn(roles[i % len(roles)], text) for i, text in enumerate(texts))
    return Dialogue(name, turns, "chitchat", "test", "s", "o", "MIT", "d")


@pytest.fixture
def asked(tokenizer: PreTrainedTokenizerFast) -> list[Question]:
    answers = ("fine", "so so", "never better", "fine", "who wants to know?", "ask me later")
    chats = [dialogue(str(i), "how are you?", text) for i, text in enumerate(answers)]
    return list(questions(chats, tokenizer, 100))


def drawn(asked: list[Question], index: int, number: int, hard: int, seed: int) -> Distractors:
    return Selection(asked, number, hard, seed).distractors(asked[index])


def test_distractors_are_other_answers_each_once(asked: list[Question]) -> None:
    found = drawn(asked, 0, 4, 1, seed=1)
    own = opening(asked[0].answer_ids)
    assert {*found.hard, *found.random} == {opening(q.answer_ids) for q in asked} - {own}
    assert (len(found.hard), len(found.random), len(found)) == (1, 3, 4)
    branches = found.branches(asked[0])
    assert [tuple(branch.tokens.ids) for branch in branches] == [*found.hard, *found.random]
    assert all(branch.start == asked[0].answer for branch in branches)
    assert all(branch.tokens.mask.all() for branch in branches)


def test_too_few_different_answers_are_no_test(asked: list[Question]) -> None:
    assert len(drawn(asked, 0, 5, 0, seed=1)) == 0
    assert len(drawn(asked, 0, 5, 2, seed=1)) == 0


def test_the_choice_depends_on_seed_and_ids_alone(asked: list[Question]) -> None:
    assert drawn(asked, 0, 2, 0, 1) == drawn(asked, 0, 2, 0, 1)
    assert drawn(asked[::-1], 5, 2, 0, 1) == drawn(asked, 0, 2, 0, 1)
    assert len({drawn(asked, 0, 2, 0, seed) for seed in range(10)}) > 1


def test_every_answer_is_asked_after_other_histories(asked: list[Question]) -> None:
    """What a wrong history makes of an answer is read off its time as a distractor."""
    selection = Selection(asked, 2, 0, seed=1)
    used = {ids for question in asked for ids in selection.distractors(question).random}
    assert used == {opening(question.answer_ids) for question in asked}


def test_hard_ones_have_most_words_in_common(tokenizer: PreTrainedTokenizerFast) -> None:
    chats = [
        dialogue("a", "hi", "the red house"),
        dialogue("b", "x", "the red horse"),
        dialogue("c", "x", "my red house is the best"),
        *(dialogue(f"d{i}", "x", f"nothing {i}") for i in range(6)),
    ]
    asked = list(questions(chats, tokenizer, 200))
    for seed in range(5):
        found = drawn(asked, 0, 5, 2, seed)
        # Two words of four in common, three of six: the ring decides between equals.
        assert set(found.hard) == {opening(asked[1].answer_ids), opening(asked[2].answer_ids)}
        assert len(found.random) == 3
    assert drawn(asked, 2, 3, 1, 1).hard == (opening(asked[0].answer_ids),)


@given(st.integers(1, 8), st.integers(0, 7), st.integers(0, 99))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_no_two_candidates_are_alike(
    tokenizer: PreTrainedTokenizerFast, number: int, hard: int, seed: int
) -> None:
    texts = ["yes", "no", "yes", "maybe so", "never", "not now", "no", "who?", "why not?", "ok"]
    chats = [dialogue(str(i), "well?", "hm", "so?", text) for i, text in enumerate(texts)]
    asked = list(questions(chats, tokenizer, 100))
    selection = Selection(asked, number, min(hard, number - 1), seed)
    for question in asked:
        found = selection.distractors(question)
        candidates = {*found.hard, *found.random, opening(question.answer_ids)}
        assert len(candidates) == len(found) + 1
        assert len(found) in (0, number)


def test_long_answers_are_compared_by_their_beginning(tokenizer: PreTrainedTokenizerFast) -> None:
    (question,) = questions([dialogue("x", "tell me", "a long story " * 20)], tokenizer, 400)
    assert len(question.answer_ids) == ANSWER_TOKENS < question.answer_length
    assert len(opening(question.answer_ids)) == RANKED_TOKENS


def test_without_history_only_the_opening_is_left(
    asked: list[Question], tokenizer: PreTrainedTokenizerFast
) -> None:
    (branch,) = without_history(asked[1])
    assert branch.start == 0
    assert tokenizer.decode(branch.tokens.ids) == "<|im_start|>assistant\nso so<|im_end|>"
    assert tokenizer.decode(branch.tokens.ids[branch.tokens.mask]) == "so so<|im_end|>"


def test_the_latest_history_is_so_many_turns(tokenizer: PreTrainedTokenizerFast) -> None:
    (question,) = questions([dialogue("x", "one", "two", "three", "four")], tokenizer, 100)
    (branch,) = latest_history(question, 2)
    assert tokenizer.decode(branch.tokens.ids) == (
        "<|im_start|>assistant\ntwo<|im_end|>\n<|im_start|>user\nthree<|im_end|>\n"
        "<|im_start|>assistant\nfour<|im_end|>"
    )
    assert tokenizer.decode(branch.tokens.ids[branch.tokens.mask]) == "four<|im_end|>"
    # Three turns are all there are.
    assert latest_history(question, 3) == ()


def test_a_dialogue_that_begins_with_its_answer_has_no_history(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    (question,) = questions([dialogue("x", "welcome", roles=("assistant",))], tokenizer, 100)
    assert without_history(question) == latest_history(question, 1) == ()


def test_rank_by_hand() -> None:
    true = np.array([-1.0, -2.0])
    longer_but_likelier = np.array([-1.4, -1.4, -1.4])
    assert rank(true, [np.array([-3.0]), np.array([-1.6])]) == 1
    assert rank(true, [longer_but_likelier, np.array([-9.0])]) == 2
    assert rank(true, [np.array([-1.5])]) == 2
