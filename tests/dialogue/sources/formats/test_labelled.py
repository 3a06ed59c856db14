from __future__ import annotations

import io
import json

import pytest

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.labelled import read_labelled
from dialogue.sources.reading import Reading

LABEL = {"text": "t", "label": "y"}
ENTITIES = {"text": "t", "entities": "y"}


def rows_of(
    text: str, columns: dict[str, str], labels: dict[str, str] | None = None
) -> list[Draft | Reject]:
    reading = Reading("x", 10_000, columns=columns, labels=labels, question="Which?")
    return list(read_labelled("f", io.BytesIO(text.encode()), reading))


def labels_of(rows: list[Draft | Reject]) -> list[str | None]:
    return [row.label if isinstance(row, Draft) else row.reason for row in rows]


def test_text_and_question_are_asked_and_the_label_answers() -> None:
    (row,) = rows_of("t,y\n很好吃,正面\n", LABEL)
    assert isinstance(row, Draft)
    assert row.turns == [("user", "很好吃\nWhich?"), ("assistant", "正面")]
    assert (row.label, row.origin, row.split_key) == ("正面", "f:2", None)


def test_labels_are_texts_numbers_truths_or_lists_and_may_be_renamed() -> None:
    values: list[object] = ["x", 0, True, ["x", 0], None, "", {}]
    lines = [json.dumps({"t": "a", "y": value}) for value in values]
    assert labels_of(rows_of("\n".join(lines), LABEL)) == [
        "x",
        "0",
        "true",
        "x, 0",
        "missing field: `y`",
        "no label: it is blank",
        "wrong type: `y` is dict, expected a text",
    ]
    assert labels_of(rows_of("\n".join(lines[:2]), LABEL, {"0": "negative"})) == [
        "unknown label: 'x' is not among `x.labels`",
        "negative",
    ]


def test_a_label_that_is_not_there_is_none_and_whole_floats_are_numbers() -> None:
    lines = "\n".join(f'{{"t": "a", "y": {value}}}' for value in ("NaN", "1.0", '"1.0"', "[1.0]"))
    assert labels_of(rows_of(lines, LABEL)) == ["missing field: `y`", "1", "1.0", "1"]
    assert labels_of(rows_of(lines, LABEL, {"1": "good"}))[1:] == ["good"] * 3
    assert labels_of(rows_of("t,y\na,1.0\n", LABEL, {"1.0": "good", "1": "bad"})) == ["good"]


def test_entities_are_cut_out_of_the_text_in_its_order() -> None:
    spans = [[3, 5, "CITY"], {"start": 0, "end": 2, "label": "PER"}]
    row = {"t": "张三在北京。", "y": spans}
    assert labels_of(rows_of(json.dumps(row), ENTITIES)) == ["PER: 张三; CITY: 北京"]
    assert labels_of(rows_of(json.dumps({"t": "x", "y": []}), ENTITIES)) == ["none"]
    assert labels_of(rows_of(json.dumps({"t": "x", "y": []}), ENTITIES, {"none": "无"})) == ["无"]
    assert labels_of(rows_of('t,y\nBob,"[[0, 3, ""PER""]]"\n', ENTITIES)) == ["PER: Bob"]


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([[0, 9, "A"]], "wrong span: 0 to 9 of a text of 3 characters"),
        ([[2, 2, "A"]], "wrong span"),
        ([[0, 2]], "wrong type: `y` holds [0, 2], expected [start, end, kind]"),
        ("nothing", "wrong type: `y` is not JSON"),
        (7, "wrong type: `y` is int, expected a list"),
    ],
)
def test_wrong_spans_are_set_aside(spans: object, reason: str) -> None:
    (row,) = rows_of(json.dumps({"t": "abc", "y": spans}), ENTITIES)
    assert isinstance(row, Reject)
    assert row.reason.startswith(reason)


def test_a_blank_text_is_set_aside() -> None:
    assert labels_of(rows_of("t,y\n ,x\n", LABEL)) == ["no text: it is blank"]
