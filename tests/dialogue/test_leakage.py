"""Planted leaks are named with both places; what is no leak is not."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dialogue.containment import Containment, grams
from dialogue.fingerprints import SCHEMA, Fingerprints, read_fingerprints, write_fingerprints
from dialogue.leakage import TEXT, Leak, leaks, straddling
from dialogue.near_duplicates import signatures

WORDS = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("a", "e", "ira", "ot", "un")]
Row = tuple[str, list[str]]


def dialogue(seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=9)) for _ in range(8)]


def paraphrased(turns: list[str]) -> list[str]:
    """Two words are others."""
    first, last = turns[0].split(), turns[-1].split()
    return [" ".join(["well", *first[1:]]), *turns[1:-1], " ".join([*last[:-1], "sure"])]


def domain_of(name: str, rows: list[Row]) -> Fingerprints:
    facts = pa.table(
        {
            "dialogue_id": [f"{name}-{row}" for row in range(len(rows))],
            "origin": [f"{name}.jsonl:{row + 1}" for row in range(len(rows))],
            "split": [split for split, _ in rows],
        },
        schema=SCHEMA,
    )
    return Fingerprints(name, facts, signatures(turns for _, turns in rows))


def filler(seed: int, num_rows: int = 60) -> list[Row]:
    splits = ("train", "train", "train", "test", "validation")
    return [(splits[row % 5], dialogue(1000 * seed + row)) for row in range(num_rows)]


def places(leak: Leak) -> tuple[str, str]:
    return leak.held_out.dialogue_id, leak.training.dialogue_id


@pytest.mark.parametrize("change", [list, paraphrased, lambda turns: [t.upper() for t in turns]])
def test_a_planted_test_dialogue_is_reported(change: object) -> None:
    assert callable(change)
    old = domain_of("old", [("test", dialogue(1)), *filler(1)])
    rows = [*filler(2), ("train", change(dialogue(1)))]
    (leak,) = leaks(domain_of("chat", rows), [old], 0.7)
    assert (leak.held_out.domain, leak.held_out.split) == ("old", "test")
    assert (leak.training.domain, leak.training.split) == ("chat", "train")
    assert leak.held_out.origin == "old.jsonl:1"
    assert leak.training.origin == f"chat.jsonl:{len(rows)}"
    assert leak.similarity > 0.8


def test_leaks_go_both_ways_between_domains() -> None:
    old = domain_of("old", [("test", dialogue(1)), ("train", dialogue(2)), *filler(1)])
    new = domain_of(
        "new", [("train", paraphrased(dialogue(1))), ("validation", dialogue(2)), *filler(2)]
    )
    found = leaks(new, [domain_of("other", filler(3)), old], 0.7)
    assert {places(leak) for leak in found} == {("new-1", "old-1"), ("old-0", "new-0")}


def test_what_is_trained_on_twice_is_no_leak_and_what_is_held_out_twice_is() -> None:
    old = domain_of("old", [("test", dialogue(1)), ("train", dialogue(2))])
    new = domain_of("new", [("test", dialogue(1)), ("train", dialogue(2))])
    assert [places(leak) for leak in leaks(new, [old], 0.7)] == [("old-0", "new-0")]


def test_a_dialogue_is_named_once_with_the_most_similar() -> None:
    old = domain_of("old", [("train", paraphrased(dialogue(1))), ("train", dialogue(1))])
    new = domain_of("new", [("test", dialogue(1))])
    (leak,) = leaks(new, [old], 0.7)
    assert places(leak) == ("new-0", "old-1")
    assert leak.similarity == 1


def test_every_training_dialogue_that_repeats_one_held_out_is_named() -> None:
    old = domain_of("old", [("test", dialogue(1)), ("validation", dialogue(2)), *filler(1)])
    variants = [dialogue(1), paraphrased(dialogue(1)), dialogue(1)[1:], dialogue(2)]
    new = domain_of("new", [*[("train", turns) for turns in variants], *filler(2)])
    found = [places(leak) for leak in leaks(new, [old], 0.7)]
    assert found == [("old-0", "new-0"), ("old-0", "new-1"), ("old-0", "new-2"), ("old-1", "new-3")]


def test_plain_text_that_holds_a_test_dialogue_is_a_leak() -> None:
    rows = [("train", dialogue(1)), ("test", dialogue(2)), ("validation", dialogue(3))]
    text = grams(["A page. " + "\n".join([*dialogue(1), *dialogue(2)]), "another page"])
    containment = Containment(text)
    list(containment.through(turns for _, turns in rows))
    (leak,) = leaks(domain_of("chat", rows), [], 0.7, containment.shares)
    assert leak.held_out.dialogue_id == "chat-1"
    assert leak.training.domain == TEXT
    assert leak.similarity == 1


def test_fingerprints_read_back_find_the_same(tmp_path: Path) -> None:
    old = domain_of("old", [("test", dialogue(1)), *filler(1)])
    new = domain_of("new", [("train", dialogue(1)), *filler(2)])
    write_fingerprints(tmp_path, old)
    assert leaks(new, read_fingerprints(tmp_path).domains, 0.7) == leaks(new, [old], 0.7)
    assert len(leaks(new, [old], 0.7)) == 1


def test_straddling_takes_from_training_and_leaves_the_test() -> None:
    rows = [
        ("train", dialogue(1)),
        ("test", paraphrased(dialogue(1))),
        ("validation", dialogue(2)),
        ("test", dialogue(2)),
        ("train", dialogue(3)),
        ("train", dialogue(3)),
        ("validation", dialogue(4)),
        ("train", dialogue(4)),
        *filler(1),
    ]
    own = domain_of("chat", rows)
    pairs = straddling(own, 0.7)
    assert pairs.rows.tolist() == [[2, 3], [0, 1], [7, 6]]
    assert (pairs.similarity > 0.8).all()
    kept = np.setdiff1d(np.arange(len(rows)), pairs.rows[:, 0])
    assert len(straddling(own.take(kept), 0.7)) == 0


def test_many_copies_are_all_set_aside() -> None:
    rows = [("test", dialogue(1)), *[("train", dialogue(1))] * 500, *filler(1)]
    pairs = straddling(domain_of("chat", rows), 0.7)
    assert set(pairs.rows[:, 0].tolist()) == set(range(1, 501))


def test_a_domain_without_held_out_dialogues_leaks_nothing() -> None:
    own = domain_of("chat", [("train", dialogue(1)), ("train", dialogue(1))])
    assert len(straddling(own, 0.7)) == 0
    assert leaks(domain_of("none", []), [own], 0.7) == []
