from __future__ import annotations

import csv
import io
import json
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


def test_a_column_that_stands_twice_is_told() -> None:
    assert table(b"a,c,c\n1,2,3\n", "a")[0][0] == "f:2"
    with pytest.raises(ValueError, match="f:1: 2 columns are called `a`; rename all but one"):
        table(b"a,b,a\n1,2,3\n", "a", "b")


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
