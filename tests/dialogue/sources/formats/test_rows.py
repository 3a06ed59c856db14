from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.records import Reject
from dialogue.sources.formats.rows import object_rows, table_rows
from dialogue.sources.reading import Reading

READING = Reading("ingest.sources.x", max_row_bytes=4_096)
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"))


def table(content: bytes, *columns: str) -> list[tuple[str, Any]]:
    return list(table_rows("f", io.BytesIO(content), READING, columns))


def parquet(rows: list[dict[str, Any]], **settings: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, **settings)
    return sink.getvalue()


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS)))
def test_a_table_is_the_same_in_every_form(pairs: list[tuple[str, str]]) -> None:
    rows = [{"a": a, "b": b} for a, b in pairs]
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, ["a", "b"])
    writer.writeheader()
    writer.writerows(rows)
    lines = "\n".join(json.dumps(row) for row in rows)
    forms = [sink.getvalue().encode(), parquet([*rows, {"a": "x", "b": "y"}])]
    forms += [json.dumps(rows).encode(), lines.encode()] if rows else []
    for form in forms:
        found = [row for _, row in table(form, "a", "b")]
        assert [row for row in found if row != {"a": "x", "b": "y"}] == [
            row for row in rows if row != {"a": "x", "b": "y"}
        ]


def test_csv_rows_know_the_line_they_begin_on_and_wrong_ones_are_set_aside() -> None:
    first, second, short, last = table(
        '\ufeffa;b\n"one\nand more";1\nzwei;"2 ""x"""\nonly\n\n你好;4\n'.encode(), "a", "b"
    )
    assert first == ("f:2", {"a": "one\nand more", "b": "1"})
    assert second == ("f:4", {"a": "zwei", "b": '2 "x"'})
    assert isinstance(short[1], Reject)
    assert (short[0], short[1].reason) == ("f:5", "wrong number of columns: 1, the header has 2")
    assert last == ("f:7", {"a": "你好", "b": "4"})


def test_tabs_are_seen_in_the_header() -> None:
    assert table(b"a\tb\n1,2\t3\n", "a", "b") == [("f:2", {"a": "1,2", "b": "3"})]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,c\n1,2\n", "f:1: no column `b`, only a, c; correct `ingest.sources.x.columns`"),
        (b'a,b\n1,2\n3,"open\n', "f:3: not CSV: .*is a quote left open"),
        (b'a,b\n1,2\n"x"y,4\n', "f:3: not CSV"),
        (b"a,b\n1,2\n3,\xff\n", "f:3: not UTF-8"),
        (b'a,b\n1,2\n3,"' + b"x\n" * 3_000 + b'"\n', "f:3: too large: more than 4096 bytes"),
        (b"a,b\n1," + b"x" * 10_000 + b"\n", "f:2: too large"),
    ],
)
def test_a_damaged_csv_is_told_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        table(content, "a", "b")


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
    with pytest.raises(ValueError, match="f: damaged parquet, past row 2816"):
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


def test_what_can_only_be_read_forwards_is_copied(tmp_path: Path) -> None:
    class Forwards(io.BytesIO):
        def seekable(self) -> bool:
            return False

    class Peeking(io.BufferedReader):
        pass

    stream = Peeking(Forwards(parquet([{"a": "x"}])))
    assert list(table_rows("f", stream, READING, ["a"])) == [("f#1", {"a": "x"})]


def test_lines_that_are_no_objects_are_set_aside() -> None:
    rows = list(object_rows("f", io.BytesIO(b'{"a": 1}\n3\n{"a": \n'), READING))
    assert rows[0] == ("f:1", {"a": 1})
    assert [(o, r.reason[:14]) for o, r in rows[1:] if isinstance(r, Reject)] == [
        ("f:2", "not an object:"),
        ("f:3", "not JSON: Expe"),
    ]
    array = list(object_rows("f", io.BytesIO(b' [{"a": 1},\n3]'), READING))
    assert isinstance(array[1][1], Reject)
    assert array[1][0] == "f:2"
