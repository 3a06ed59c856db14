"""Two versions of a domain's records: every dialogue is accounted for once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.comparison import (
    Comparison,
    compare,
    count_by_split,
    excerpts,
    sample,
    take_inventory,
)
from dialogue.records import Dialogue, Split, Turn, content_digest, write_dialogues


def dialogue(words: str, origin: str, split: Split = "train", label: str | None = None) -> Dialogue:
    turns = (Turn("user", words), Turn("assistant", f"about {words}"))
    return Dialogue(
        content_digest(turns)[:16], turns, "d", split, "s", origin, "MIT", "0" * 64, label=label
    )


def compared(folder: Path, before: list[Dialogue], after: list[Dialogue]) -> Comparison:
    write_dialogues(folder / "before.parquet", before)
    write_dialogues(folder / "after.parquet", after)
    return compare(
        take_inventory(folder / "before.parquet"), take_inventory(folder / "after.parquet")
    )


def test_each_fate_is_told_apart(tmp_path: Path) -> None:
    stays, gone, old = dialogue("stays", "f:1"), dialogue("gone", "f:2"), dialogue("old", "f:3")
    moves = dialogue("moves", "f:4", "test")
    came, new = dialogue("came", "f:9", "validation"), dialogue("new", "f:3")
    result = compared(
        tmp_path,
        [stays, gone, old, moves],
        [came, dataclasses.replace(moves, split="train"), new, stays],
    )
    assert result.removed.tolist() == [1]
    assert result.added.tolist() == [0]
    assert result.changed.tolist() == [[2, 2]]
    assert result.moved.tolist() == [[3, 1]]
    assert result.moves() == {("test", "train"): 1}
    assert result.before.by_split() == {"train": 3, "validation": 0, "test": 1}
    assert result.after.by_split(result.added) == {"train": 0, "validation": 1, "test": 0}
    assert result.after.turns_by_split() == {"train": 6, "validation": 2, "test": 0}


def test_lines_that_shift_change_nothing(tmp_path: Path) -> None:
    before = [dialogue(word, f"f:{line}") for line, word in enumerate("abc", 1)]
    after = [dialogue("first", "f:1")]
    after += [dialogue(word, f"f:{line}") for line, word in enumerate("abc", 2)]
    result = compared(tmp_path, before, after)
    assert result.added.tolist() == [0]
    assert not len(result.removed)
    assert not len(result.changed)


def test_what_the_id_does_not_see_is_a_change(tmp_path: Path) -> None:
    """The id is of normalized words: capitals, persona and label are learned all the same."""
    before = dialogue("hello", "f:1")
    loud = dataclasses.replace(before, turns=(Turn("user", "HELLO"), before.turns[1]))
    labelled = dataclasses.replace(before, label="greeting")
    described = dataclasses.replace(before, persona="kind")
    for after in (loud, labelled, described):
        assert compared(tmp_path, [before], [after]).changed.tolist() == [[0, 0]]
    assert not len(compared(tmp_path, [before], [before]).changed)


def test_several_of_one_origin_are_paired_in_order(tmp_path: Path) -> None:
    before = [dialogue(word, "f:1") for word in ("a", "b", "c")]
    after = [dialogue(word, "f:1") for word in ("x", "y")]
    result = compared(tmp_path, before, after)
    assert result.changed.tolist() == [[0, 0], [1, 1]]
    assert result.removed.tolist() == [2]


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=15),
    after=st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=15),
    origins=st.lists(st.integers(0, 5), min_size=31, max_size=31),
)
def test_every_dialogue_is_accounted_for_once(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[int],
    after: list[int],
    origins: list[int],
) -> None:
    folder = tmp_path_factory.mktemp("versions")
    result = compared(
        folder,
        [dialogue(f"word {number}", f"f:{origins[number]}") for number in before],
        [dialogue(f"word {number}", f"f:{origins[number]}") for number in after],
    )
    same = len(set(before) & set(after))
    assert len(before) == same + len(result.removed) + len(result.changed)
    assert len(after) == same + len(result.added) + len(result.changed)
    assert not set(result.removed.tolist()) & set(result.changed[:, 0].tolist())
    assert not set(result.added.tolist()) & set(result.changed[:, 1].tolist())
    # Nothing is called added and removed that could have been told as a change.
    left = {origins[before[row]] for row in result.removed}
    assert not left & {origins[after[row]] for row in result.added}


def test_excerpts_are_the_dialogues_of_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    many = [dialogue(f"word {number}", f"f:{number}") for number in range(9_000)]
    write_dialogues(path, many)
    assert pq.ParquetFile(path).num_row_groups > 1
    inventory = take_inventory(path)
    rows = np.arange(100, 9_000)
    chosen = rows[sample(inventory, rows, 5)]
    assert chosen.tolist() == rows[sample(inventory, rows, 5)].tolist()
    assert len(set(chosen.tolist())) == 5
    for row, excerpt in zip(chosen.tolist(), excerpts(path, chosen), strict=True):
        assert (excerpt.id, excerpt.origin) == (many[row].id, many[row].origin)
        assert excerpt.turns == many[row].turns
    assert count_by_split(path)[0] == inventory.by_split()
    assert count_by_split(path)[1] == inventory.turns_by_split()


def test_files_from_before_a_column_was_added_compare(tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    write_dialogues(tmp_path / "new.parquet", [dialogue("hello", "f:1")])
    table = pq.read_table(tmp_path / "new.parquet")
    pq.write_table(table.drop_columns(["label"]), path, write_page_checksum=True)
    result = compare(take_inventory(path), take_inventory(tmp_path / "new.parquet"))
    assert not any(map(len, (result.added, result.removed, result.changed, result.moved)))
    pq.write_table(table.drop_columns(["origin"]), path)
    with pytest.raises(ValueError, match="no records file: it has no column origin"):
        take_inventory(path)


def test_faults_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    with pytest.raises(ValueError, match=r"records\.parquet: no such records file"):
        take_inventory(path)
    write_dialogues(path, [dialogue(f"word {number}", f"f:{number}") for number in range(500)])
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"records\.parquet: damaged records"):
        take_inventory(path)
    write_dialogues(path, [])
    with pytest.raises(ValueError, match="holds no dialogue"):
        take_inventory(path)
