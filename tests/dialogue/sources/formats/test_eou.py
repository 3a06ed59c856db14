from __future__ import annotations

import io

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.eou import read_eou


def rows_of(text: str) -> list[Draft | Reject]:
    return list(read_eou("f", io.BytesIO(text.encode())))


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
