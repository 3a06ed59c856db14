from __future__ import annotations

import io

import pytest

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.eou import read_eou, read_eou_emotion
from dialogue.sources.reading import Reading

READING = Reading("ingest.sources.x", max_row_bytes=1 << 20)


def rows_of(text: str) -> list[Draft | Reject]:
    return list(read_eou("f", io.BytesIO(text.encode()), READING))


def test_utterances_alternate_and_labels_are_left_out() -> None:
    (row,) = rows_of("Hi . __eou__ Hello ! __eou__ Bye . __eou__\t1\t2 2 2\t0 0 0\n")
    assert isinstance(row, Draft)
    assert row.turns == [("user", "Hi . "), ("assistant", " Hello ! "), ("user", " Bye . ")]


def test_an_empty_utterance_passes_the_turn_all_the_same() -> None:
    (row,) = rows_of("a __eou__ __eou__ b __eou__")
    assert isinstance(row, Draft)
    assert [(role, text.strip()) for role, text in row.turns] == [
        ("user", "a"),
        ("assistant", ""),
        ("user", "b"),
    ]


def test_cut_off_and_foreign_lines_are_set_aside() -> None:
    cut, foreign = rows_of("Hi . __eou__ Hel\nid,text\n")
    assert isinstance(cut, Reject)
    assert (cut.origin, cut.reason.partition(":")[0]) == ("f:1", "cut off")
    assert isinstance(foreign, Reject)
    assert foreign.reason.startswith("no utterance")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("1\t2 2\t0 0 0", "wrong acts: 2 for 3 utterances"),
        ("1\t2 2 2\t0 0 0 0", "wrong emotions: 4 for 3 utterances"),
        ("1\t2 2 2\t0 0 7", "wrong emotions: '7' is none, expected 0 to 6"),
        ("1\t2 2 0\t0 0 1", "wrong acts: '0' is none, expected 1 to 4"),
        ("11\t2 2 2\t0 0 1", "wrong topic: '11' is none"),
        ("\t2 2 2\t0 0 1", "wrong topic: 0 for"),
        ("1\t2 2 2", "wrong columns: 2, expected topic, acts and emotions"),
    ],
)
def test_columns_that_do_not_fit_the_utterances_are_told(columns: str, reason: str) -> None:
    (row,) = rows_of(f"Hi . __eou__ Hello ! __eou__ Bye . __eou__\t{columns}")
    assert isinstance(row, Reject)
    assert row.reason.startswith(reason)


def test_each_emotion_is_a_labelled_dialogue_in_any_language() -> None:
    asked = Reading("ingest.sources.x", 1 << 20, question="什么情绪？", labels={"anger": "生气"})
    lines = "你好。__eou__烦死了！__eou__\t1\t1 1\t0 1\n"
    lines += "no columns __eou__\n__eou__ x __eou__\t1\t1 1\t1 1"
    unnamed, angry, bare, blank, last = read_eou_emotion("f", io.BytesIO(lines.encode()), asked)
    assert isinstance(unnamed, Reject)
    assert unnamed.reason.startswith("unknown label: 'no emotion'")
    assert isinstance(angry, Draft)
    assert angry.turns == [("user", "烦死了！\n什么情绪？"), ("assistant", "生气")]
    assert (angry.origin, angry.label) == ("f:1/2", "生气")
    assert isinstance(bare, Reject)
    assert bare.reason.startswith("no emotions")
    assert isinstance(blank, Reject)
    assert blank.reason.startswith("no text")
    assert isinstance(last, Draft)
