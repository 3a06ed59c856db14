from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks._lessons import Lessons, is_response, responses
from dialogue.appraisal.transcript import Transcriber
from dialogue.metrics.likelihood import Tree
from dialogue.tokenization import load_tokenizer

CHATS = [[f"{word} is what {word} {n} says" for n in range(12)] for word in ("one", "two", "three")]


def lessons(tiny_model: Path, seed: int = 0) -> tuple[list[Tree], Transcriber]:
    transcriber = Transcriber(load_tokenizer(tiny_model))
    texts = responses(CHATS)
    vectors = np.random.default_rng(1).normal(size=(len(texts), 4)).astype(np.float32)
    return list(Lessons(CHATS, vectors, transcriber, seed)), transcriber


def test_yes_stands_after_what_was_said_and_no_after_what_was_not(tiny_model: Path) -> None:
    trees, transcriber = lessons(tiny_model)
    num_wrong = 0
    for tree in trees:
        trunk, mask = tree.trunk.ids.tolist(), tree.trunk.mask
        ends = (np.flatnonzero(mask & ~np.append(mask[1:], False)) + 1).tolist()
        for branch in tree.branches:
            *tokens, answer = branch.tokens.ids.tolist()
            assert branch.tokens.mask.tolist() == [False] * len(tokens) + [True]
            if answer == transcriber.yes:
                assert tokens == [], "the trunk itself has said it"
                assert branch.start in ends[1:], "right after a response"
            else:
                assert answer == transcriber.no
                assert branch.start in ends[:-1], "in place of a turn"
                end = branch.start + len(tokens)
                assert trunk[branch.start : end] != tokens, "the real response is none of the wrong"
                num_wrong += 1
    assert num_wrong > 50


@pytest.mark.parametrize("seed", range(8))
def test_every_turn_is_in_one_lesson_and_only_what_is_said_is_learned(
    tiny_model: Path, seed: int
) -> None:
    trees, transcriber = lessons(tiny_model, seed)
    said = [transcriber.turn(0, text).said for turns in CHATS for text in turns]
    learned = [i for tree in trees for i in tree.trunk.ids[tree.trunk.mask].tolist()]
    assert learned == [i for turn in said for i in turn]


def test_a_seed_gives_the_same_lessons_and_another_one_others(tiny_model: Path) -> None:
    def told(seed: int) -> list[list[int]]:
        return [
            branch.tokens.ids.tolist()
            for tree in lessons(tiny_model, seed)[0]
            for branch in tree.branches
        ]

    assert told(0) == told(0) != told(1)


def test_a_response_is_neither_a_word_nor_a_speech() -> None:
    assert is_response("not this")
    assert not is_response("no")
    assert not is_response("word " * 41)
