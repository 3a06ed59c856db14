from __future__ import annotations

import random

import numpy as np
import pyarrow as pa

from dialogue.fingerprints import SCHEMA, Fingerprints, Memory
from dialogue.near_duplicates import signatures
from dialogue.separation import separate

NOTHING = Memory((), None)
WORDS = ("river", "lamp", "quiet", "market", "window", "garden", "seven", "paper", "music", "road")


def domain(name: str, *dialogues: tuple[str, str]) -> Fingerprints:
    """Dialogues of (split, text) as fingerprints; their ids follow from name and row."""
    rows = [
        {"dialogue_id": f"{name}{row}", "origin": f"{name}:{row}", "split": split}
        for row, (split, _) in enumerate(dialogues)
    ]
    signed = signatures([text] for _, text in dialogues)
    return Fingerprints(name, pa.Table.from_pylist(rows, SCHEMA), signed)


def text(seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=60))


def sound(own: Fingerprints) -> np.ndarray:
    return np.ones(len(own.signatures), np.bool_)


def test_training_gives_way_and_nothing_else() -> None:
    own = domain("a", ("train", text(1)), ("test", text(1)), ("train", text(2)), ("train", text(2)))
    found = separate(own, NOTHING, sound(own), 0.7, None)
    assert found.reasons == {0: "near-duplicate of a:1, which is test"}
    assert {tuple(pair) for pair in found.near.rows.tolist()} == {(0, 1), (2, 3)}
    assert found.leaks == []


def test_what_is_unsound_is_out_of_the_comparison() -> None:
    own = domain("a", ("train", text(1)), ("test", text(1)), ("train", text(1)))
    found = separate(own, NOTHING, np.array([True, False, True]), 0.7, None)
    assert found.reasons == {}
    assert found.near.rows.tolist() == [[0, 2]]


def test_only_own_dialogues_go_and_the_earlier_exam_stays() -> None:
    first = domain("a", ("test", text(1)), ("train", text(2)), ("validation", text(3)))
    own = domain("b", ("train", text(1)), ("test", text(2)), ("test", text(3)), ("train", text(4)))
    found = separate(own, Memory((first,), None), sound(own), 0.7, None)
    assert found.reasons == {
        0: "leak: stands in a (test) as well: a:0",
        1: "leak: stands in a (train) as well: a:1",
    }
    assert {(leak.held_out.origin, leak.training.origin) for leak in found.leaks} == {
        ("a:0", "b:0"),
        ("b:1", "a:1"),
        ("a:2", "b:2"),
    }


def test_every_variant_of_an_earlier_exam_goes() -> None:
    first = domain("a", ("test", text(1)), ("train", text(2)))
    variants = [text(1), f"well {text(1)}", f"{text(1)} indeed"]
    own = domain("b", *[("train", each) for each in variants], ("train", text(3)))
    found = separate(own, Memory((first,), None), sound(own), 0.7, None)
    assert found.reasons == dict.fromkeys(range(3), "leak: stands in a (test) as well: a:0")


def test_an_exam_that_plain_text_holds_goes() -> None:
    own = domain("a", ("test", text(1)), ("train", text(2)))
    shares = np.array([0.9, 0.9], np.float32)
    found = separate(own, NOTHING, sound(own), 0.7, shares)
    assert found.reasons == {0: "leak: stands in plain text as well"}


def test_dialogues_of_one_template_do_not_repeat_one_another() -> None:
    """Whether a template made them shows in the whole domain, not in a few of its exams."""
    template = "What is the weather like in {0} today, please? It is sunny in {0} now."
    rows = [("test" if n % 9 == 0 else "train", template.format(f"town{n}")) for n in range(60)]
    found = separate(domain("a", *rows), NOTHING, np.ones(60, np.bool_), 0.7, None)
    assert found.near.num_templates
    assert found.reasons == {}
