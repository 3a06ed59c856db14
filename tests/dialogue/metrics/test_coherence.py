from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from dialogue.metrics.coherence import shuffled_history
from dialogue.metrics.question import Question, questions
from dialogue.records import Dialogue, Turn


def ask(tokenizer: PreTrainedTokenizerFast, *texts: str, max_tokens: int = 400) -> Question:
    turns = tuple(Turn("assistant" if i % 2 else "user", text) for i, text in enumerate(texts))
    chat = Dialogue("id", turns, "chitchat", "test", "s", "o", "MIT", "d")
    (question,) = questions([chat], tokenizer, max_tokens)
    return question


def test_two_user_turns_change_places_and_nothing_else(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    question = ask(tokenizer, "one", "two", "three", "four")
    (branch,) = shuffled_history(question, seed=1)
    assert branch.start == 0
    assert tokenizer.decode(branch.tokens.ids) == (
        "<|im_start|>user\nthree<|im_end|>\n<|im_start|>assistant\ntwo<|im_end|>\n"
        "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\nfour<|im_end|>"
    )
    assert tokenizer.decode(branch.tokens.ids[branch.tokens.mask]) == "four<|im_end|>"


@pytest.mark.parametrize("texts", [("hi", "hello"), ("hi", "hello", "hi", "hello again")])
def test_no_other_order_no_branch(
    tokenizer: PreTrainedTokenizerFast, texts: tuple[str, ...]
) -> None:
    assert shuffled_history(ask(tokenizer, *texts), seed=1) == ()


def test_only_the_latest_turns_are_shuffled(tokenizer: PreTrainedTokenizerFast) -> None:
    question = ask(tokenizer, *(f"this is turn number {i}" for i in range(20)), max_tokens=1_000)
    (branch,) = shuffled_history(question, seed=1)
    assert branch.start in question.starts
    assert 0 < question.starts[-1] - branch.start <= 80


def test_long_turns_are_shuffled_all_the_same(tokenizer: PreTrainedTokenizerFast) -> None:
    question = ask(tokenizer, "a " * 60, "b " * 60, "c " * 60, "d", max_tokens=1_000)
    (branch,) = shuffled_history(question, seed=1)
    assert branch.start == question.starts[0]


def test_a_turn_that_lost_its_beginning_stays(tokenizer: PreTrainedTokenizerFast) -> None:
    question = ask(tokenizer, "why? " * 50, "because", max_tokens=40)
    assert shuffled_history(question, seed=1) == ()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(st.sampled_from("abcdef"), min_size=2, max_size=12), seed=st.integers(0, 9))
def test_a_shuffle_is_a_permutation_that_differs(texts: list[str], seed: int) -> None:
    question = ask(_TOKENIZER[0], *texts)
    for branch in shuffled_history(question, seed):
        ids = question.tokens.ids[branch.start : branch.start + len(branch.tokens.ids)]
        assert sorted(branch.tokens.ids.tolist()) == sorted(ids.tolist())
        assert branch.tokens.ids.tolist() != ids.tolist()


_TOKENIZER: list[PreTrainedTokenizerFast] = []


@pytest.fixture(autouse=True, scope="module")
def _known_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    _TOKENIZER[:] = [tokenizer]
