"""Profiles hold no person's words, and drift is zero for no change and large for another domain."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.drift import LENGTHS, Profile, drift, profile, read_profile

WEATHER = ["rain", "snow", "sun", "wind", "cloud", "storm", "cold", "warm", "today", "sky"]
BANKING = ["money", "account", "transfer", "balance", "pay", "card", "loan", "cash", "fee"]


def dialogues(words: list[str], num_dialogues: int, seed: int, length: int = 8) -> list[list[str]]:
    rng = random.Random(seed)
    return [
        [" ".join(rng.choices(words, k=rng.randint(2, length))) for _ in range(4)]
        for _ in range(num_dialogues)
    ]


def test_no_change_is_no_drift() -> None:
    one = profile(dialogues(WEATHER, 50, 1))
    assert drift(one, one).length_drift == 0
    assert drift(one, one).vocabulary_drift == pytest.approx(0, abs=1e-7)
    assert drift(one, one).embedding_drift is None


def test_a_new_sample_drifts_little_and_another_domain_much() -> None:
    one, two = (profile(dialogues(WEATHER, 200, seed)) for seed in (1, 2))
    other = profile(dialogues(BANKING, 200, 3, length=40))
    assert drift(one, two).vocabulary_drift < 0.1
    assert drift(one, two).length_drift < 0.1
    assert drift(one, other).vocabulary_drift == pytest.approx(1)
    assert drift(one, other).length_drift > 0.6


def test_vocabulary_drift_by_hand() -> None:
    """Half a and half b against all a: H(3/4, 1/4) - (1 + 0) / 2 in bits; the distance its root."""
    first = profile([["aa bb"]] * 10)
    second = profile([["aa aa"]] * 10)
    mixture = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert drift(first, second).vocabulary_drift == pytest.approx(np.sqrt(mixture - 0.5))


def test_length_drift_by_hand() -> None:
    first = profile([["one two three"]] * 3 + [["one"]])
    second = profile([["one"]] * 4)
    assert drift(first, second).length_drift == pytest.approx(0.75)


def test_more_turns_are_length_drift_though_each_is_as_long() -> None:
    first = profile([["one two"] * 2] * 5)
    second = profile([["one two"] * 20] * 5)
    assert drift(first, second).length_drift == 1


def test_rare_words_and_numbers_are_not_named() -> None:
    rows = [["hello there", f"call 555-01{row:02} or ask Zebediah"] for row in range(4)]
    rows += [["hello 2024 b4 you"]] * 6
    vocabulary = profile(rows).vocabulary
    assert vocabulary == {"hello": 10, "you": 6}
    assert profile(rows).num_other_words == 4 * 1 + 4 * 6 + 6 * 2


def test_a_word_often_said_in_few_dialogues_is_not_named() -> None:
    assert profile([["secret " * 100]] * 4).vocabulary == {}


def test_chinese_words_are_characters() -> None:
    assert profile([["你好。ok好"]] * 5).vocabulary == {"好": 10, "ok": 5, "你": 5}


def test_embeddings_are_compared_by_their_means() -> None:
    def embed(texts: object) -> np.ndarray:
        return np.array([[1, "rain" in text, "money" in text] for text in texts], np.float32)

    rain, money = profile([["rain"]] * 3, embed), profile([["money"]], embed)
    assert rain.embedding == (1, 1, 0)
    assert drift(rain, money).embedding_drift == pytest.approx(0.5)
    assert drift(rain, rain).embedding_drift == pytest.approx(0)
    with pytest.raises(ValueError, match="with the same encoder"):
        drift(rain, rain.model_copy(update={"embedding": (1.0,)}))


@given(st.lists(st.lists(st.text(max_size=12), max_size=3), min_size=1, max_size=8))
def test_a_profile_survives_json_and_counts_every_word(rows: list[list[str]]) -> None:
    one = profile(rows)
    assert read_profile(one.model_dump_json(), "p.json") == one
    assert sum(one.words_per_turn) == sum(map(len, rows))
    assert sum(one.turns_per_dialogue) == one.num_dialogues == len(rows)
    assert len(one.words_per_turn) == len(LENGTHS)
    figures = drift(one, profile([["other words here"]]))
    assert 0 <= figures.length_drift <= 1
    assert 0 <= figures.vocabulary_drift <= 1


def test_the_order_of_dialogues_does_not_matter() -> None:
    rows = dialogues(WEATHER + BANKING, 60, 1)
    assert profile(rows).model_dump_json() == profile(rows[::-1]).model_dump_json()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}', "\ufffd"])
def test_what_is_no_profile_is_refused_by_name(content: str) -> None:
    with pytest.raises(ValueError, match=r"x\.json: no profile: .*validate the domain again"):
        read_profile(content, "x.json")


def test_a_profile_of_another_version_is_refused() -> None:
    content = json.loads(profile([["a"]]).model_dump_json()) | {"version": 99}
    with pytest.raises(ValueError, match=r"x\.json: profile of version 99"):
        read_profile(json.dumps(content), "x.json")


def test_nothing_has_no_profile() -> None:
    with pytest.raises(ValueError, match="no dialogue to profile"):
        profile([])
    assert isinstance(profile([[""]]), Profile)
    assert drift(profile([[""]]), profile([["a"] * 5])).vocabulary_drift == 1
