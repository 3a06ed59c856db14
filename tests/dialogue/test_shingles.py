"""Shingles are what a plain reading of their definition gives, only faster."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dialogue.near_duplicates import jaccard
from dialogue.shingles import gathered, ngram_hashes, shingle_hashes, word_hashes

WORD = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+")
TEXT = st.text(alphabet="aAéZß 09.,!-_\n你好吗１", max_size=30)
DIALOGUE = st.lists(TEXT, max_size=4)


def words_of(turns: list[str]) -> list[str]:
    return WORD.findall(unicodedata.normalize("NFKC", "\n".join(turns)).casefold())


def set_of(turns: list[str]) -> set[object]:
    words = words_of(turns)
    return {*words, *pairwise(words)}


@given(st.lists(DIALOGUE.filter(words_of), max_size=5))
def test_words_are_counted(dialogues: list[list[str]]) -> None:
    hashes, counts = word_hashes("\n".join(turns) for turns in dialogues)
    words = [words_of(turns) for turns in dialogues]
    assert counts.tolist() == [len(each) for each in words]
    flat = [word for each in words for word in each]
    assert len({*zip(flat, hashes.tolist(), strict=True)}) == len({*flat}) == len({*hashes})


@given(DIALOGUE.filter(words_of), DIALOGUE.filter(words_of))
def test_similarity_is_the_jaccard_index_of_words_and_pairs(
    first: list[str], second: list[str]
) -> None:
    a, b = set_of(first), set_of(second)
    assert jaccard(first, second) == len(a & b) / len(a | b)


@given(st.lists(DIALOGUE, min_size=1, max_size=5))
def test_a_dialogues_shingles_do_not_depend_on_its_neighbours(dialogues: list[list[str]]) -> None:
    hashes, offsets, counts = shingle_hashes(dialogues)
    for row, turns in enumerate(dialogues):
        alone, _, count = shingle_hashes([turns])
        assert hashes[offsets[row] : offsets[row + 1]].tolist() == alone.tolist()
        assert counts[row] == count[0]


def test_case_width_punctuation_and_turns_do_not_count() -> None:
    assert jaccard(["Hello, World!", "Ｙｅｓ…"], ["hello world yes"]) == 1


def test_scripts_without_spaces_go_by_characters() -> None:
    _, counts = word_hashes(["今天天气很好。", "สวัสดี", "annyeong 안녕하세요"])
    assert counts.tolist() == [6, len([c for c in "สวัสดี" if c.isalnum()]), 2]


def test_a_dialogue_without_words_goes_by_its_signs() -> None:
    _, counts = word_hashes(["👍 👎", "...", "", "  \n", "ok 👍"])
    assert counts.tolist() == [2, 3, 0, 0, 1]
    assert jaccard(["👍"], ["👎"]) == 0
    assert jaccard(["👍"], ["👍"]) == 1


def test_lone_surrogates_and_nothing_at_all_are_survived() -> None:
    assert word_hashes(["\ud800 a"])[1].tolist() == [1]
    hashes, offsets, counts = shingle_hashes([])
    assert (len(hashes), offsets.tolist(), len(counts)) == (0, [0], 0)


@given(st.lists(DIALOGUE, max_size=4), st.integers(1, 5))
def test_ngrams_stay_within_a_dialogue(dialogues: list[list[str]], size: int) -> None:
    hashes, counts = ngram_hashes(dialogues, size)
    assert len(hashes) == counts.sum()
    alone = [ngram_hashes([turns], size)[0].tolist() for turns in dialogues]
    assert hashes.tolist() == [each for grams in alone for each in grams]


def test_a_stream_is_gathered_whole_and_in_order() -> None:
    dialogues = [["x" * 400_000, str(index)] for index in range(7)]
    chunks = list(gathered(iter(dialogues)))
    assert [turns for chunk in chunks for turns in chunk] == dialogues
    assert len(chunks) > 1


def test_order_of_letters_and_of_words_counts() -> None:
    hashes, _ = word_hashes(["listen", "silent", "a", "aa", "aaa"])
    assert len(np.unique(hashes)) == 5
    assert jaccard(["man bites dog"], ["dog bites man"]) < 1
