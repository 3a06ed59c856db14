"""Near-duplicates: what must be found, what must not, and that the work stays bounded."""

from __future__ import annotations

import random
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.near_duplicates import (
    NUM_VALUES,
    SHORT_SIMILARITY,
    clusters,
    jaccard,
    near_pairs,
    near_pairs_between,
    signatures,
    without_question,
)

SHARED = Path(__file__).parents[2] / "../shared/data"
SIMILARITY = 0.7
WORDS = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("a", "e", "ira", "ot", "un")]


def dialogue(seed: int, num_turns: int = 8, num_words: int = 9) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=num_words)) for _ in range(num_turns)]


def reworded(turns: list[str], num_words: int, seed: int = 0) -> list[str]:
    """The dialogue with some words replaced by new ones, each in another turn."""
    rng = random.Random(seed)
    result = list(turns)
    for index, place in enumerate(rng.sample(range(len(turns)), num_words)):
        words = result[place].split()
        words[rng.randrange(len(words))] = f"other{index}"
        result[place] = " ".join(words)
    return result


def pairs_of(dialogues: list[list[str]], similarity: float = SIMILARITY) -> set[tuple[int, int]]:
    rows = near_pairs(signatures(dialogues), similarity).rows
    return {(int(i), int(j)) for i, j in rows}


def test_two_words_changed_in_eight_turns_are_found() -> None:
    originals = [dialogue(seed) for seed in range(300)]
    changed = [reworded(turns, 2, seed) for seed, turns in enumerate(originals)]
    assert pairs_of(originals + changed) == {(row, row + 300) for row in range(300)}


def test_a_lost_turn_is_found() -> None:
    originals = [dialogue(seed) for seed in range(300)]
    shortened = [[*turns[:3], *turns[4:]] for turns in originals]
    assert len(pairs_of(originals + shortened)) >= 290


def test_typography_makes_no_difference() -> None:
    turns = dialogue(1)
    shouted = [f"{turn.upper()} !!!" for turn in turns]
    result = near_pairs(signatures([turns, dialogue(2), shouted]), 1.0)
    assert result.rows.tolist() == [[0, 2]]
    assert result.similarity.tolist() == [1.0]


def test_commands_that_differ_in_a_word_are_no_near_duplicates() -> None:
    rooms = ["kitchen", "bedroom", "attic", "garage", "hall", "study", "cellar", "porch"]
    commands = [[f"Turn on the lights in the {room}", "Turned on the lights"] for room in rooms]
    assert pairs_of(commands) == set()
    assert pairs_of([*commands, commands[3]]) == {(3, 8)}


def test_two_words_changed_in_a_brief_dialogue_are_found() -> None:
    originals = [dialogue(seed, num_turns=2, num_words=7) for seed in range(200)]
    changed = [reworded(turns, 2, seed) for seed, turns in enumerate(originals[:20])]
    result = near_pairs(signatures([*originals, *changed]), SIMILARITY)
    found = {(int(i), int(j)) for i, j in result.rows}
    assert found <= {(row, row + 200) for row in range(20)}
    assert len(found) >= 18
    assert result.num_templates == 0
    between = near_pairs_between(signatures(originals), signatures(changed), SIMILARITY)
    assert {(int(i), int(j) + 200) for i, j in between.rows} == found


def test_brief_dialogues_made_from_templates_are_no_near_duplicates() -> None:
    templates = [dialogue(seed, num_turns=2, num_words=7) for seed in range(10)]
    filled = [reworded(turns, 1 + seed % 2, seed) for seed, turns in enumerate(templates * 12)]
    result = near_pairs(signatures(filled), 0.8)
    assert result.num_templates > 0
    assert (result.similarity >= SHORT_SIMILARITY).all()


def test_the_briefest_count_from_the_higher_similarity_on() -> None:
    words = WORDS[:11]
    original, other = [" ".join(words)], [" ".join([*words[:4], "x", *words[5:]])]
    assert 0.6 < jaccard(original, other) < SHORT_SIMILARITY
    assert pairs_of([original, other]) == set()
    assert pairs_of([original, other, list(original)]) == {(0, 2)}


def test_a_question_that_all_have_makes_no_two_the_same() -> None:
    kinds = "no emotion, anger, disgust, fear, happiness, sadness, surprise or something else"
    question = f"Which emotion does the speaker show when saying this, if there is any: {kinds}?"
    asked = [[f"{text}\n{question}", "none"] for text in ("Twelve dollars.", "I did it.")]
    assert pairs_of(asked) == {(0, 1)}
    assert [without_question(turns) for turns in asked] == [
        ["Twelve dollars.", "none"],
        ["I did it.", "none"],
    ]
    assert pairs_of([without_question(turns) for turns in asked]) == set()
    assert without_question(["One line", "none"]) == ["One line", "none"]


def test_chinese_goes_by_characters() -> None:
    text = "我今天想去北京的一家饭馆吃晚饭你能帮我订一个靠窗户的座位吗谢谢"
    changed = text.replace("北京", "上海").replace("晚饭", "午饭")
    assert pairs_of(
        [[text], ["今天天气很好我们一起去公园散步吧然后喝一杯茶怎么样"], [changed]]
    ) == {(0, 2)}


def test_equal_rows_are_paired_with_the_first_only() -> None:
    equal = [dialogue(1)] * 20_000
    started = time.process_time()
    result = near_pairs(signatures(equal), SIMILARITY)
    assert time.process_time() - started < 5
    assert len(result) == len(equal) - 1
    assert set(result.rows[:, 0].tolist()) == {0}
    assert np.unique(clusters(result, len(equal))).tolist() == [0]


def test_a_crowd_of_alike_rows_is_joined_without_naming_every_pair() -> None:
    base = dialogue(1, num_words=20)
    crowd = [reworded(base, 2, seed) for seed in range(2_000)] + [dialogue(2)]
    result = near_pairs(signatures(crowd), SIMILARITY)
    assert len(result) < 20 * len(crowd)
    assert np.unique(clusters(result, len(crowd))).tolist() == [0, 2_000]


def test_every_row_with_a_near_duplicate_is_in_a_pair_between_two_sets() -> None:
    base = dialogue(1, num_words=20)
    many = [reworded(base, 2, seed) for seed in range(500)] + [base] * 50
    few = [dialogue(9), reworded(base, 1, 77), base]
    rows = near_pairs_between(signatures(many), signatures(few), SIMILARITY).rows
    assert set(rows[:, 0].tolist()) == set(range(len(many)))
    assert set(rows[:, 1].tolist()) == {1, 2}
    turned = near_pairs_between(signatures(few), signatures(many), SIMILARITY).rows
    assert set(turned[:, 0].tolist()) == {1, 2}
    assert set(turned[:, 1].tolist()) == set(range(len(many)))
    assert near_pairs_between(signatures(many), signatures([dialogue(9)]), 0.7).rows.size == 0


def test_only_the_rows_asked_for_are_compared() -> None:
    own = signatures([dialogue(1), dialogue(1), dialogue(2), dialogue(1)])
    result = near_pairs_between(own, own, 0.7, rows_a=np.array([0, 2]), rows_b=np.array([1, 3]))
    assert result.rows.tolist() == [[0, 1], [0, 3]]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 25))
def test_pairs_are_those_of_comparing_all_with_all(seed: int, num_rows: int) -> None:
    rng = random.Random(seed)
    bases = [dialogue(seed + index) for index in range(4)]
    rows = [reworded(rng.choice(bases), rng.randrange(5), rng.random()) for _ in range(num_rows)]
    own = signatures(rows)
    result = near_pairs(own, SIMILARITY)
    labels = clusters(result, num_rows)
    for i, j in combinations(range(num_rows), 2):
        if (own.values[i] == own.values[j]).mean() > 0.8:
            assert labels[i] == labels[j], (i, j)
    for (i, j), similarity in zip(result.rows, result.similarity, strict=True):
        assert similarity >= SIMILARITY
        assert abs(similarity - jaccard(rows[i], rows[j])) < 0.2


def test_the_estimate_is_as_exact_as_it_says() -> None:
    originals = [dialogue(seed) for seed in range(400)]
    changed = [reworded(turns, 1 + seed % 8, seed) for seed, turns in enumerate(originals)]
    values = signatures(originals).values, signatures(changed).values
    estimated = (values[0] == values[1]).mean(axis=1)
    exact = [jaccard(*both) for both in zip(originals, changed, strict=True)]
    assert np.std(estimated - exact) < 0.045
    assert abs(np.mean(estimated - exact)) < 0.01


def test_a_signature_depends_on_its_dialogue_alone() -> None:
    dialogues = [dialogue(seed, num_turns=1 + seed % 3) for seed in range(50)]
    whole = signatures(iter(dialogues))
    assert whole.values.shape == (50, NUM_VALUES)
    for row, turns in enumerate(dialogues):
        alone = signatures([turns])
        assert (alone.values[0] == whole.values[row]).all()
        assert alone.num_words[0] == whole.num_words[row]


def test_signatures_stay_what_they_are() -> None:
    """Stored ones are compared with new ones: where these change, `SCHEME` must change too."""
    own = signatures([["How are you?", "Fine, thanks."]])
    assert own.values[0, :4].tolist() == [14415, 437, 28329, 10677]
    assert own.num_words.tolist() == [5]


def test_nothing_has_no_near_duplicates() -> None:
    nothing = signatures([])
    assert len(nothing) == len(near_pairs(nothing, 0.7)) == 0
    assert len(near_pairs_between(nothing, signatures([["a b"]]), 0.7)) == 0
    assert clusters(near_pairs(nothing, 0.7), 0).tolist() == []
    assert pairs_of([["one"]]) == set()


@pytest.mark.parametrize("similarity", [0.0, -1.0, 1.1, float("nan")])
def test_a_similarity_that_is_none_is_refused(similarity: float) -> None:
    with pytest.raises(ValueError, match=r"similarity: .* is no Jaccard"):
        near_pairs(signatures([["a"]]), similarity)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_real_dialogues(language: str) -> None:
    """Planted paraphrases of DailyDialog are found; of the natural dialogues few are alike."""
    path = SHARED / "dailydialog" / f"validation.{language}.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    natural = [line.split("\t")[0].split("__eou__") for line in lines]
    long = [turns for turns in natural if sum(map(len, turns)) > 150]
    rng = random.Random(1)
    planted = [_two_changed(turns, language, rng) for turns in long]
    found = near_pairs_between(signatures(planted), signatures(long), SIMILARITY)
    pairs = {(int(i), int(j)) for i, j in found.rows}
    assert sum((row, row) in pairs for row in range(len(long))) >= 0.97 * len(long)
    assert len(np.unique(near_pairs(signatures(natural), SIMILARITY).rows)) < 0.03 * len(natural)


def _two_changed(turns: list[str], language: str, rng: random.Random) -> list[str]:
    joiner = "" if language == "zh" else " "
    words = list("\n".join(turns)) if language == "zh" else "\n".join(turns).split()
    for place in rng.sample(range(len(words)), 2):
        words[place] = "龘" if language == "zh" else "zebra"
    return [joiner.join(words)]
