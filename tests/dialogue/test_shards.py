from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dialogue.encoding import Encoded
from dialogue.shards import concatenate, empty_shard, open_shard, pack, write_shard


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
    assert isinstance(shard.tokens, np.memmap)
    assert shard.tokens.dtype == np.uint16


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


@pytest.mark.parametrize("name", ["tokens.bin", "mask.bin", "offsets.npy", "shard.json"])
def test_one_flipped_bit_is_noticed(tmp_path: Path, name: str) -> None:
    write_shard(tmp_path / "shard", pack(ROWS, 300))
    path = tmp_path / "shard" / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="damaged"):
        open_shard(tmp_path / "shard")


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
