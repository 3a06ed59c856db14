from __future__ import annotations

import itertools
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.encoding import Encoded
from dialogue.shards import (
    Part,
    Shard,
    ShardWriter,
    all_supervised,
    concatenate,
    empty_shard,
    join_shards,
    open_shard,
    pack,
    write_shard,
)


def encoded(ids: list[int], mask: list[int]) -> Encoded:
    return Encoded(np.array(ids, dtype=np.int64), np.array(mask, dtype=np.bool_))


ROWS = [("a", "chat", encoded([1, 2, 3], [0, 1, 1])), ("b", "help", encoded([4, 5], [0, 1]))]


def test_round_trip(tmp_path: Path) -> None:
    digest = write_shard(tmp_path / "shard", pack(ROWS, 300))
    shard = open_shard(tmp_path / "shard")
    assert (shard.ids, shard.domains) == (("a", "b"), ("chat", "help"))
    for index, (_, _, row) in enumerate(ROWS):
        assert np.array_equal(shard[index].ids, row.ids)
        assert np.array_equal(shard[index].mask, row.mask)
    assert write_shard(tmp_path / "again", shard) == digest
    assert shard.dtype == np.uint16
    assert shard.num_bytes == 5 * 3


def mapped_file(array: np.ndarray) -> str | None:
    """The file whose pages the array reads, if it is not a copy of them."""
    while array is not None:
        if isinstance(array, np.memmap):
            return Path(str(array.filename)).name
        array = array.base  # type: ignore[assignment]
    return None


def test_training_reads_the_files_themselves(tmp_path: Path) -> None:
    write_shard(tmp_path / "new", pack(ROWS, 300))
    write_shard(tmp_path / "memory", pack(ROWS, 300))
    new, memory = open_shard(tmp_path / "new"), open_shard(tmp_path / "memory")
    for shard in (new, concatenate([new, memory.select([1])])):
        for index in range(len(shard)):
            tokens, mask = shard.stored(index)
            assert (mapped_file(tokens), mapped_file(mask)) == ("tokens.bin", "mask.bin")
            assert not tokens.flags.writeable
    assert mapped_file(new.starts) == "offsets.npy"


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(2, 9)), max_size=12),
    st.lists(st.integers(1, 5), min_size=1),
)
@settings(max_examples=40, deadline=None)
def test_the_bytes_do_not_depend_on_the_chunks(
    rows: list[tuple[str, int]], sizes: list[int]
) -> None:
    shard = pack(
        (
            (f"{i}", domain, encoded([*range(n)], [0] + [1] * (n - 1)))
            for i, (domain, n) in enumerate(rows)
        ),
        300,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_shard(folder / "whole", shard)
        with ShardWriter(folder / "chunks", shard.dtype, {}) as writer:
            start = 0
            for size in itertools.cycle(sizes):
                append(writer, shard.select(range(start, min(start + size, len(shard)))))
                start += size
                if start >= len(shard):
                    break
        assert contents(folder / "whole") == contents(folder / "chunks")


def append(writer: ShardWriter, shard: Shard) -> None:
    none: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0, np.uint16), np.empty(0, np.uint8))]
    rows = [shard.stored(index) for index in range(len(shard))] or none
    tokens, mask = (np.concatenate(list(column)) for column in zip(*rows, strict=True))
    writer.append(shard.ids, shard.domains, tokens, mask, shard.lengths)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def part(folder: Path, place: Part | None, records: str = "r") -> Path:
    """The sequences `first` to `end` of three."""
    shard = pack([*ROWS, ("c", "chat", encoded([7, 8], [0, 1]))], 300)
    own = range(3) if place is None else range(place.first, place.end)
    with ShardWriter(folder, shard.dtype, {"records": records}, place) as writer:
        append(writer, shard.select(own))
    return folder


def test_parts_are_joined_in_their_order(tmp_path: Path) -> None:
    whole = part(tmp_path / "whole", None)
    parts = [part(tmp_path / f"{n}", Part(n, n + 1, 3)) for n in (2, 0, 1)]
    writer = join_shards(tmp_path / "joined", parts)
    assert contents(tmp_path / "joined") == contents(whole)
    assert (writer.num_sequences, writer.num_tokens, writer.num_supervised) == (3, 7, 4)


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ([(0, 2)], "row groups 2:3 are missing: join parts that hold each of 0:3 once"),
        ([(1, 2), (2, 3)], "row groups 0:1 are missing:"),
        ([(2, 3), (0, 1)], "row groups 1:2 are missing:"),
        ([(0, 2), (1, 3)], r"row groups 1:2 are in \S*/0 and \S*/1:"),
        ([(0, 3), (1, 2)], r"row groups 1:2 are in \S*/0 and \S*/1:"),
        ([(0, 1), (0, 1)], r"row groups 0:1 are in \S*/0 and \S*/1; row groups 1:3 are missing:"),
    ],
)
def test_a_part_that_is_missing_or_doubled_is_told(
    tmp_path: Path, ranges: list[tuple[int, int]], said: str
) -> None:
    parts = [part(tmp_path / f"{n}", Part(*own, 3)) for n, own in enumerate(ranges)]
    before = contents(part(tmp_path / "joined", None))
    with pytest.raises(ValueError, match=said):
        join_shards(tmp_path / "joined", parts)
    assert contents(tmp_path / "joined") == before


def test_a_part_that_is_named_twice_is_told(tmp_path: Path) -> None:
    whole = part(tmp_path / "0", Part(0, 3, 3))
    with pytest.raises(ValueError, match=r"row groups 0:3 are in (\S*/0) and \1: join"):
        join_shards(tmp_path / "joined", [whole, whole])


def test_what_is_no_part_of_the_same_is_not_joined(tmp_path: Path) -> None:
    first = part(tmp_path / "0", Part(0, 1, 3))
    alien = part(tmp_path / "alien", Part(1, 3, 3), "other")
    with pytest.raises(ValueError, match="alien: not made from the same records"):
        join_shards(tmp_path / "joined", [first, alien])
    whole = part(tmp_path / "whole", None)
    with pytest.raises(ValueError, match="whole: does not say which part it is"):
        join_shards(tmp_path / "joined", [first, whole])


def test_a_part_is_no_shard_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds row groups 0:2 of 3 only; join the parts by"):
        open_shard(part(tmp_path / "0", Part(0, 2, 3)))


def test_a_writer_that_fails_leaves_nothing_to_open(tmp_path: Path) -> None:
    def fail() -> None:
        with ShardWriter(tmp_path / "x", np.dtype(np.uint16), {}) as writer:
            append(writer, pack(ROWS, 300))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with pytest.raises(ValueError, match="no shard here"):
        open_shard(tmp_path / "x")


def test_select_and_concatenate() -> None:
    shard = pack(ROWS, 300)
    both = concatenate([shard.select([1]), shard])
    assert both.ids == ("b", "a", "b")
    assert both[0].ids.tolist() == [4, 5]
    assert concatenate([empty_shard(), shard]).ids == ("a", "b")


def test_an_empty_shard_is_one(tmp_path: Path) -> None:
    write_shard(tmp_path / "none", empty_shard())
    assert len(open_shard(tmp_path / "none")) == 0


def test_large_vocabularies_get_wide_tokens() -> None:
    assert pack([("a", "chat", encoded([1, 70_000], [0, 1]))], 100_000)[0].ids[1] == 70_000


@pytest.mark.parametrize("name", ["tokens.bin", "mask.bin", "offsets.npy", "ids.txt", "shard.json"])
def test_one_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path, name: str) -> None:
    rows = [
        (f"{number:016x}", "größe", encoded([*range(2 + number % 7)], [0] + [1] * (1 + number % 7)))
        for number in range(50)
    ]
    with ShardWriter(tmp_path / "shard", np.dtype(np.uint16), {"records": "é" * 8}) as writer:
        append(writer, pack(rows, 300))
    path = tmp_path / "shard" / name
    whole = path.read_bytes()
    dice = random.Random(17)
    for _ in range(100):
        place = dice.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            open_shard(tmp_path / "shard")
    path.write_bytes(whole)
    assert len(open_shard(tmp_path / "shard")) == 50


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard", pack(ROWS, 300))
    (tmp_path / "shard" / "mask.bin").unlink()
    with pytest.raises(ValueError, match=r"mask\.bin"):
        open_shard(tmp_path / "shard")
    with pytest.raises(ValueError, match="no shard here"):
        open_shard(tmp_path / "elsewhere")


def test_nothing_without_a_supervised_token_gets_in() -> None:
    with pytest.raises(ValueError, match="dialogue x: no supervised token"):
        pack([("x", "chat", encoded([1, 2], [1, 0]))], 300)


def test_all_supervised_is_the_same_but_for_the_mask() -> None:
    shard = concatenate(
        [
            pack([("a", "x", encoded([1, 2, 3], [0, 1, 0]))], 9),
            pack([("b", "y", encoded([4, 5], [0, 1]))], 9),
        ]
    ).select([1, 0])
    whole = all_supervised(shard)
    assert (whole.ids, whole.domains) == (("b", "a"), ("y", "x"))
    assert [whole[index].ids.tolist() for index in range(2)] == [[4, 5], [1, 2, 3]]
    assert [whole[index].mask.tolist() for index in range(2)] == [[True] * 2, [True] * 3]
    assert shard[1].mask.tolist() == [False, True, False]
    assert whole.flats[0].tokens is shard.flats[0].tokens
