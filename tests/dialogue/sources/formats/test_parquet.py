from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dialogue.records import Reject
from dialogue.sources.formats import parquet as module
from dialogue.sources.formats.parquet import parquet_rows
from dialogue.sources.reading import Reading

READING = Reading("ingest.sources.x", max_row_bytes=4_096)


def table(content: bytes, *columns: str) -> list[tuple[str, Any]]:
    return list(parquet_rows("f", io.BytesIO(content), READING, columns or None))


def written(columns: pa.Table, **settings: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(columns, sink, **settings)
    return sink.getvalue()


def parquet(rows: list[dict[str, Any]], **settings: Any) -> bytes:
    return written(pa.Table.from_pylist(rows), **settings)


WORDS = ["aa", "b", "aa", None, ""]
TYPES: dict[str, Any] = {
    "string": pa.array(WORDS),
    "large string": pa.array(WORDS, pa.large_string()),
    "string view": pa.array(WORDS, pa.string_view()),
    "bytes": pa.array([b"1", b"2", b"1", None, b""]),
    "category": pa.array(WORDS).dictionary_encode(),
    "nothing": pa.nulls(5),
    "no text at all": pa.nulls(5, pa.string()),
    "list": pa.array([["a", None], ["a", "b"], [], None, ["b"]]),
    "large list": pa.array([["a"], ["a", "b"], [], None, ["b"]], pa.large_list(pa.string())),
    "fixed list": pa.array([["a", "b"], ["a", "b"], ["c", "a"]] + [["c", "b"]] * 2).cast(
        pa.list_(pa.string(), 2)
    ),
    "list view": pa.array([["a"], ["a", "b"], [], None, ["b"]], pa.list_view(pa.string())),
    "map": pa.array([[("k", "v")], [], [("k", "w")], None, []], pa.map_(pa.string(), pa.string())),
    "turns": pa.array([[{"role": "user", "said": ["a"]}] * 3, [], None, [None], [{"said": None}]]),
    "number": pa.array([1, 2, None, 3, 1]),
    "time": pa.array([0, 1, 2, 3, 4], pa.timestamp("us")),
}


@pytest.mark.parametrize("is_coded", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_is_read_as_it_was_written(
    kind: str, is_coded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_coded:
        monkeypatch.setattr(module, "_SAFE_BYTES", -1)
    rows = [{"a": value} for value in TYPES[kind].to_pylist()]
    content = written(pa.table({"a": TYPES[kind]}))
    assert [row for _, row in table(content)] == rows
    # One at a time, where they are large together: the texts of a row have 3 + 1 bytes or so.
    small = Reading("x", max_row_bytes=100)
    many = written(pa.concat_tables([pa.table({"a": TYPES[kind]})] * 40))
    found = [row for _, row in parquet_rows("f", io.BytesIO(many), small, None)]
    assert [row for row in found if not isinstance(row, Reject)][-2:] == rows[-2:]


def test_a_row_is_as_large_as_all_that_it_names() -> None:
    row = [{"said": "x" * 300}] * 20
    pairs = table(parquet([{"a": row[:2]}, {"a": row}, {"a": None}, {"a": row[:9]}]))
    assert [isinstance(found, Reject) for _, found in pairs] == [False, True, False, False]
    flat = table(parquet([{"a": "x" * 3_000, "b": "y" * n} for n in (9, 3_000)]), "a", "b")
    assert [isinstance(found, Reject) for _, found in flat] == [False, True]


def test_a_name_may_have_dots() -> None:
    assert table(parquet([{"a.b": "x", "c": "y"}]), "a.b") == [("f#1", {"a.b": "x"})]


def test_columns_of_one_name_are_told() -> None:
    twice = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], ["a", "a"])
    for columns in ((), ("a",)):
        with pytest.raises(ValueError, match="f:1: 2 columns are called `a`"):
            table(written(twice), *columns)


def test_a_damaged_parquet_is_told_with_its_row() -> None:
    whole = parquet(
        [{"a": f"text {i}", "b": "y"} for i in range(5_000)],
        row_group_size=1_000,
        write_page_checksum=True,
        use_dictionary=False,
    )
    assert [origin for origin, _ in table(whole, "a")][::4_999] == ["f#1", "f#5000"]
    with pytest.raises(ValueError, match=r"f: damaged parquet, past row 0: .*is the file whole"):
        table(whole[:-100], "a")
    with pytest.raises(ValueError, match="f: damaged parquet, past row 0"):
        table(whole[: len(whole) // 2], "a")
    at = pq.ParquetFile(io.BytesIO(whole)).metadata.row_group(3).column(0).data_page_offset + 60
    flipped = bytearray(whole)
    flipped[at] ^= 1
    with pytest.raises(ValueError, match="f: damaged parquet, past row 3000"):
        table(bytes(flipped), "a")
    with pytest.raises(ValueError, match="f:1: no column `c`, only a, b"):
        table(whole, "c")


def test_parquet_that_is_not_utf8_is_told() -> None:
    sink = io.BytesIO()
    texts = pa.array([b"good", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"a": texts}), sink)
    with pytest.raises(ValueError, match="f: not UTF-8 past row 0"):
        table(sink.getvalue(), "a")


def test_parquet_is_held_to_the_bounds_of_every_packing() -> None:
    bomb = parquet([{"a": "x" * (8 << 20)}], compression="zstd", use_dictionary=False)
    with pytest.raises(ValueError, match="f: unpacks to more than 200 times its size"):
        table(bomb, "a")
    large = parquet([{"a": "x" * (2 << 20)}], compression="none", use_dictionary=False)
    with pytest.raises(ValueError, match="f: too large: more than 4096 bytes a row in group 0"):
        table(large, "a")
    one, two, three = table(parquet([{"a": "x"}, {"a": "y" * 5_000}, {"a": "z"}]), "a")
    assert (one, three) == (("f#1", {"a": "x"}), ("f#3", {"a": "z"}))
    assert isinstance(two[1], Reject)
    assert (two[0], two[1].reason[:9]) == ("f#2", "too large")


def test_what_can_only_be_read_forwards_is_copied() -> None:
    class Forwards(io.BytesIO):
        def seekable(self) -> bool:
            return False

    class Peeking(io.BufferedReader):
        pass

    stream = Peeking(Forwards(parquet([{"a": "x"}])))
    assert list(parquet_rows("f", stream, READING, ["a"])) == [("f#1", {"a": "x"})]
