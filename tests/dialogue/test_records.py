from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialogue.manifest import verify_manifest, write_manifest
from dialogue.records import (
    DIALOGUES_PER_GROUP,
    SCHEMA,
    Dialogue,
    Reject,
    Turn,
    content_digest,
    read_batches,
    read_dialogues,
    read_rejects,
    split_of,
    words_digest,
    write_dialogues,
    write_rejects,
)

# Whatever UTF-8 can hold, NUL and U+FFFD included.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
# Splits at 15 and 5 %, and a digest, that must not change.
KEYS = {
    "conversation 0": "train",
    "conversation 12": "validation",
    "conversation 24": "validation",
    "conversation 26": "test",
}
CONTENT = "ca7c0be4b259cc111d79a75c135597dcf26a66dc2d719b03a6c66c7e369566ad"
SHARE = st.floats(0, 0.5)


@st.composite
def dialogues(draw: st.DrawFn) -> Dialogue:
    exchanges = draw(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
    turns = [
        turn
        for asked, answered in exchanges
        for turn in (Turn("user", asked), Turn("assistant", answered))
    ]
    if draw(st.booleans()):
        turns.insert(0, Turn("system", draw(TEXT)))
    return Dialogue(
        id=content_digest(turns)[:16],
        turns=tuple(turns),
        domain=draw(TEXT),
        split=draw(st.sampled_from(["train", "validation", "test"])),
        source=draw(TEXT),
        origin=draw(TEXT),
        licence=draw(TEXT),
        raw_digest="0" * 64,
        persona=draw(st.none() | TEXT),
        label=draw(st.none() | TEXT),
    )


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(dialogues(), max_size=8, unique_by=lambda dialogue: dialogue.id))
def test_what_is_written_is_read_back(tmp_path: Path, written: list[Dialogue]) -> None:
    path = tmp_path / "dialogues.parquet"
    assert write_dialogues(path, written) == len(written)
    assert list(read_dialogues(path)) == written
    tests = [dialogue for dialogue in written if dialogue.split == "test"]
    assert list(read_dialogues(path, "test")) == tests


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.builds(Reject, TEXT, TEXT, TEXT, st.sampled_from(["fault", "scope"]))))
def test_rejects_are_read_back(tmp_path: Path, written: list[Reject]) -> None:
    path = tmp_path / "rejects.parquet"
    assert write_rejects(path, written) == len(written)
    assert list(read_rejects(path)) == written


@given(st.text(), SHARE, SHARE)
def test_a_split_depends_on_the_key_alone(key: str, test: float, validation: float) -> None:
    if split_of(key, test, 0.0) == "test":
        assert split_of(key, test, validation) == "test"
        # A larger share keeps what a smaller one had.
        assert split_of(key, min(1.0, test + 0.1), validation) == "test"


def test_what_was_split_once_stays_so() -> None:
    """Other splits, or other digests, would put tests of yesterday into the training of today."""
    splits = {key: split_of(key, 0.15, 0.05) for key in KEYS}
    assert splits == KEYS
    turns = [Turn("user", "Hello  there"), Turn("assistant", "Hi")]
    assert content_digest(turns) == CONTENT


def test_splits_come_in_the_shares_asked_for() -> None:
    splits = [split_of(str(number), 0.15, 0.05) for number in range(20_000)]
    assert splits.count("test") == pytest.approx(3_000, abs=200)
    assert splits.count("validation") == pytest.approx(1_000, abs=150)


def test_equal_content_has_one_digest_whatever_its_spacing_and_case() -> None:
    one = content_digest([Turn("user", "Hello  there"), Turn("assistant", "Hi")])
    other = content_digest([Turn("user", "hello there\n"), Turn("assistant", "hi")])
    swapped = content_digest([Turn("assistant", "hello there"), Turn("user", "hi")])
    assert one == other != swapped


def test_equal_dialogues_give_equal_bytes(tmp_path: Path) -> None:
    dialogue = Dialogue("0" * 16, (Turn("user", "a"),), "d", "train", "s", "o", "MIT", "0" * 64)
    for name in ("one", "other"):
        write_dialogues(tmp_path / name, [dialogue] * 3)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "dialogues.parquet"
    # Text that does not compress, so that the bit lies in a page.
    text = "".join(content_digest([Turn("user", str(number))]) for number in range(200))
    dialogue = Dialogue("0" * 16, (Turn("user", text),), "d", "train", "s", "o", "MIT", "0" * 64)
    write_dialogues(path, [dialogue])
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"dialogues.parquet: damaged records"):
        list(read_dialogues(path))


def test_a_missing_file_and_other_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such records file"):
        list(read_dialogues(tmp_path / "none.parquet"))
    with pytest.raises(ValueError, match="no such rejects file"):
        list(read_rejects(tmp_path / "none.parquet"))
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"columns \['text'\], expected"):
        list(read_dialogues(tmp_path / "other.parquet"))
    assert SCHEMA.names[0] == "dialogue_id"


@given(TEXT)
def test_letters_have_one_digest_by_the_short_way_and_the_long(text: str) -> None:
    spelled = "".join(filter(str.isalnum, text.casefold()))
    assert words_digest([Turn("user", text)]) == words_digest([Turn("user", spelled)])
    ascii_text = text.encode("ascii", "ignore").decode()
    kept = "".join(filter(str.isalnum, ascii_text.casefold()))
    assert words_digest([Turn("user", ascii_text)]) == words_digest([Turn("user", kept)])


def test_row_groups_hold_whole_dialogues(tmp_path: Path) -> None:
    path = tmp_path / "dialogues.parquet"
    written = [
        Dialogue(
            id=f"{number:016x}",
            turns=(Turn("user", f"ask {number}"), Turn("assistant", "yes")) * (number % 3 + 1),
            domain="d",
            split="train",
            source="s",
            origin=f"f:{number}",
            licence="MIT",
            raw_digest="0" * 64,
        )
        for number in range(2 * DIALOGUES_PER_GROUP + 1)
    ]
    write_dialogues(path, written)
    tables = list(read_batches(path, ["dialogue_id", "text"]))
    assert len(tables) == 3
    groups = [set(table.column("dialogue_id").to_pylist()) for table in tables]
    assert sum(map(len, groups)) == len(set().union(*groups)) == len(written)
    assert list(read_dialogues(path)) == written


def test_any_flipped_bit_of_a_records_folder_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    turns = (Turn("user", "how are you?"), Turn("assistant", "fine"))
    dialogue = Dialogue("0" * 16, turns, "d", "train", "s", "o", "MIT", "0" * 64)
    write_dialogues(folder / "dialogues.parquet", [dialogue] * 50)
    write_rejects(folder / "rejects.parquet", [Reject("f:1", "not JSON", "{")])
    write_manifest(folder)
    verify_manifest(folder)
    dice = random.Random(17)
    for path in (folder / "dialogues.parquet", folder / "rejects.parquet"):
        whole = path.read_bytes()
        for _ in range(100):
            damaged = bytearray(whole)
            damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=f"{path.name}: damaged"):
                verify_manifest(folder)
        path.write_bytes(whole)
    verify_manifest(folder)
