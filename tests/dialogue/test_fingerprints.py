"""Fingerprints come back as they were written, or not at all."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.containment import grams
from dialogue.fingerprints import (
    SCHEMA,
    Fingerprints,
    read_fingerprints,
    write_fingerprints,
)
from dialogue.near_duplicates import signatures

SPLITS = ("train", "validation", "test")


def fingerprints(domain: str, num_dialogues: int = 9, prefix: str = "") -> Fingerprints:
    rows = range(num_dialogues)
    facts = pa.table(
        {
            "dialogue_id": [f"{prefix}{row:04x}" for row in rows],
            "origin": [f"{domain}.txt:{row + 1}" for row in rows],
            "split": [SPLITS[row % 3] for row in rows],
        },
        schema=SCHEMA,
    )
    return Fingerprints(
        domain, facts, signatures([[f"{domain} says {row}", "and goes on"] for row in rows])
    )


def assert_same(one: Fingerprints, other: Fingerprints) -> None:
    assert one.domain == other.domain
    assert one.facts.equals(other.facts)
    assert (one.signatures.values == other.signatures.values).all()
    assert (one.signatures.num_words == other.signatures.num_words).all()


def test_the_curriculum_accumulates(tmp_path: Path) -> None:
    text = grams(["plain text of more than eight words, enough to make some grams of"])
    write_fingerprints(tmp_path / "base", text=text)
    chat, support = fingerprints("chat"), fingerprints("support", 4)
    write_fingerprints(tmp_path / "chat", chat, earlier=tmp_path / "base")
    write_fingerprints(tmp_path / "support", support, earlier=tmp_path / "chat")
    memory = read_fingerprints(tmp_path / "support")
    assert [each.domain for each in memory.domains] == ["chat", "support"]
    assert_same(memory.domains[0], chat)
    assert_same(memory.domains[1], support)
    assert memory.text is not None
    assert memory.text.hashes.tolist() == text.hashes.tolist()
    assert memory.text.below == text.below
    assert read_fingerprints(tmp_path / "base").domains == ()
    for name in ("chat.npy", "chat.words.npy", "chat.parquet", "text.npy"):
        assert (tmp_path / "chat" / name).read_bytes() == (tmp_path / "support" / name).read_bytes()


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
            st.sampled_from(SPLITS),
            st.lists(st.text(max_size=20), max_size=3),
        ),
        max_size=6,
    )
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str, list[str]]]
) -> None:
    folder = tmp_path_factory.mktemp("fingerprints")
    ids, origins, splits, dialogues = zip(*rows, strict=True) if rows else ((), (), (), ())
    facts = pa.table([list(ids), list(origins), list(splits)], schema=SCHEMA)
    own = Fingerprints("chat", facts, signatures(dialogues))
    write_fingerprints(folder, own)
    (back,) = read_fingerprints(folder).domains
    assert_same(back, own)


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    digests = [
        write_fingerprints(tmp_path / name, fingerprints("chat"), text=grams(["a " * 20]))
        for name in ("a", "b")
    ]
    assert digests[0] == digests[1]
    write_fingerprints(tmp_path / "a", fingerprints("other"))
    assert not list((tmp_path / "a").glob("chat*")), "what was there before stays"


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    write_fingerprints(tmp_path, fingerprints("chat"), text=grams(["b c d e f g h i j k l"]))
    rng = random.Random(1)
    files = [path for path in sorted(tmp_path.iterdir()) if path.name != "manifest.json"]
    assert len(files) == 4
    for number in range(100):
        path = files[number % 4]
        sound = path.read_bytes()
        damaged = bytearray(sound)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=path.name):
            read_fingerprints(tmp_path)
        path.write_bytes(sound)
    read_fingerprints(tmp_path)


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no fingerprints; run the stage"):
        read_fingerprints(tmp_path / "none")
    with pytest.raises(ValueError, match="no fingerprints; run the stage"):
        write_fingerprints(tmp_path / "new", fingerprints("a"), earlier=tmp_path / "none")


def test_signatures_of_another_scheme_are_not_compared(tmp_path: Path) -> None:
    write_fingerprints(tmp_path, fingerprints("chat"))
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"scheme": "shingles-0/rensa-1/128x16/seed-17"}))
    with pytest.raises(ValueError, match="do not compare; validate the earlier domains again"):
        read_fingerprints(tmp_path)


def test_a_domain_is_not_learned_twice(tmp_path: Path) -> None:
    write_fingerprints(tmp_path / "a", fingerprints("chat"))
    with pytest.raises(ValueError, match="remembers the domain `chat` already"):
        write_fingerprints(tmp_path / "b", fingerprints("chat"), earlier=tmp_path / "a")


def test_rows_can_be_taken_and_found(tmp_path: Path) -> None:
    own = fingerprints("chat")
    assert own.rows_of("test", "validation").tolist() == [1, 2, 4, 5, 7, 8]
    some = own.take(np.array([1, 4]))
    assert some.facts.column("dialogue_id").to_pylist() == ["0001", "0004"]
    assert (some.signatures.values == own.signatures.values[[1, 4]]).all()
    kept = np.ones(9, np.bool_)
    kept[0] = False
    assert own.take(kept).facts.num_rows == 8
