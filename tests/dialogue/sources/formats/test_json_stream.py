from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.sources.formats import json_stream
from dialogue.sources.formats.json_stream import json_items

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


class OneByOne(io.BytesIO):
    """Gives a few bytes at a time, whatever is asked: every edge falls everywhere."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(3)


def items(text: str, max_bytes: int = 1 << 20) -> list[tuple[int, str | None, Any]]:
    return list(json_items("f", OneByOne(text.encode()), max_bytes))


@settings(deadline=None)
@given(st.lists(VALUES), st.sampled_from([None, 0, 3]), st.booleans())
def test_an_array_comes_item_by_item(values: list[Any], indent: int | None, ascii_: bool) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_)
    assert [value for _, _, value in items(f"\ufeff {text}\n")] == values


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES))
def test_an_object_comes_item_by_item(values: dict[str, Any]) -> None:
    assert {key: value for _, key, value in items(json.dumps(values))} == values


def test_items_know_their_line_and_repeated_keys_are_seen() -> None:
    assert items('[\n1,\n\n {"a":\n 2}, 3]') == [(2, None, 1), (4, None, {"a": 2}), (5, None, 3)]
    assert items('{"a": 1,\n"a": 2}') == [(1, "a", 1), (2, "a", 2)]
    assert items("[12345678901234567890]") == [(1, None, 12345678901234567890)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[1,\n{"a": "b', r"f:2: not JSON: Unterminated.*is the file whole"),
        ("[1,\n2", "f:2: not JSON: expected `,`, the file ends"),
        ("[1,\n2,", "f:2: not JSON"),
        ("[1 2]", "f:1: not JSON: expected `,`, found `2`"),
        ("[1]\n[2]", "f:2: not JSON: something stands after its end"),
        ("[1, nul]", "f:1: not JSON"),
        ("{1: 2}", "f:1: not JSON: expected a key"),
        ("[" * 100_000, "f:1: not JSON: nested too deeply"),
        ("[" + "9" * 5_000 + "]", "f:1: not JSON"),
        ("", "f:1: not JSON: expected an array or object"),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(json_items("f", io.BytesIO(text.encode()), 1 << 20))


def test_an_item_that_is_too_large_ends_the_file_soon() -> None:
    stream = io.BytesIO(b'["a",\n"' + b"x" * (8 << 20) + b'"]')
    rows = json_items("f", stream, 1 << 20)
    assert next(rows) == (1, None, "a")
    with pytest.raises(ValueError, match="f:2: too large: more than 1048576 bytes in one row"):
        next(rows)
    assert stream.tell() < 4 << 20


def test_a_fault_far_from_the_edge_is_told_at_once() -> None:
    stream = io.BytesIO(b"[{'a': 1}," + b" " * (8 << 20))
    with pytest.raises(ValueError, match="f:1: not JSON: Expecting property name"):
        list(json_items("f", stream, 1 << 20))
    assert stream.tell() == json_stream._CHUNK


def test_what_is_not_utf8_is_told() -> None:
    with pytest.raises(ValueError, match="f:2: not UTF-8"):
        list(json_items("f", OneByOne(b'["a",\n"\xff"]'), 100))
