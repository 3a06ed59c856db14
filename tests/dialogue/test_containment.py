"""Containment of dialogues in plain text."""

from __future__ import annotations

import random

import numpy as np

from dialogue.containment import Containment, Grams, grams

WORDS = [f"w{number}" for number in range(500)]


def text(seed: int, num_words: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=num_words))


def shares(dialogues: list[list[str]], known: Grams) -> np.ndarray:
    containment = Containment(known)
    assert list(containment.through(iter(dialogues))) == dialogues
    return containment.shares


def test_a_dialogue_that_stands_in_the_text_is_contained() -> None:
    document = text(1, 5_000)
    words = document.split()
    inside = [" ".join(words[100:120]).upper() + "!", " ".join(words[120:150])]
    half = [" ".join(words[200:250]), text(3, 50)]
    outside = [text(2, 30), text(4, 30)]
    found = shares([inside, outside, half, ["too short"]], grams([text(7, 100), document]))
    assert found[0] == 1
    assert found[1] == 0
    assert 0.4 < found[2] <= 0.5
    assert np.isnan(found[3])


def test_names_between_the_turns_of_a_transcript_do_not_hide_it() -> None:
    turns = [text(seed, 12) for seed in range(6)]
    other = [*turns[:1], *(text(seed, 12) for seed in range(20, 25))]
    transcript = "\n".join(f"{name}: {turn}" for name, turn in zip("ABABAB", turns, strict=True))
    found = shares([turns, other], grams([transcript]))
    assert found[0] == 1
    assert found[1] < 0.2


def test_eight_grams_do_not_cross_documents() -> None:
    words = text(1, 40).split()
    parts = [" ".join(words[:20]), " ".join(words[20:])]
    assert len(grams(parts)) == 26
    assert len(grams([" ".join(parts)])) == 33


def test_a_large_text_is_remembered_in_part_and_measured_by_that_part() -> None:
    documents = [text(seed, 1_000) for seed in range(40)]
    few = grams(iter(documents), most=5_000)
    assert 2_000 < len(few) <= 5_000
    assert (few.hashes < few.below).all()
    every = grams(documents)
    assert few.hashes.tolist() == every.hashes[every.hashes < few.below].tolist()
    found = shares([documents[3].split(), [text(99, 1_000)]], few)
    assert found.tolist() == [1, 0]


def test_what_is_remembered_does_not_depend_on_the_order() -> None:
    documents = [text(seed, 300) for seed in range(30)]
    first, second = (grams(order, most=1_000) for order in (documents, documents[::-1]))
    assert first.below == second.below
    assert first.hashes.tolist() == second.hashes.tolist()


def test_no_text_contains_nothing() -> None:
    assert shares([[text(1, 20)]], grams([])).tolist() == [0]
    assert shares([], grams(["a b"])).tolist() == []
