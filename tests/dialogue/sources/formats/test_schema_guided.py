from __future__ import annotations

import io
import json
from typing import Any

import pytest

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.schema_guided import domain_of, read_schema_guided
from dialogue.sources.reading import Reading


def rows_of(content: bytes, service: str | None = None) -> list[Draft | Reject]:
    select = None if service is None else {"service": service}
    reading = Reading("ingest.sources.x", 1 << 20, select=select)
    return list(read_schema_guided("train/f.json", io.BytesIO(content), reading))


def original(identity: str, *services: str) -> dict[str, Any]:
    turns = [
        {"speaker": "USER", "utterance": "My balance?", "frames": []},
        {"speaker": "SYSTEM", "utterance": "$5.", "frames": []},
    ]
    return {"dialogue_id": identity, "services": list(services), "turns": turns}


def line(identity: str, *services: str) -> dict[str, Any]:
    turns = [["USER", "余额多少？"], ["SYSTEM", "五元。"]]
    return {"id": identity, "split": "dev", "services": list(services), "turns": turns}


def test_the_corpus_and_lines_are_read_alike() -> None:
    corpus = json.dumps([original("1_0", "Banks_1"), original("1_1", "Hotels_2")], indent=2)
    first, second = rows_of(corpus.encode())
    assert isinstance(first, Draft)
    assert first.turns == [("user", "My balance?"), ("assistant", "$5.")]
    assert (first.origin, first.given_id) == ("train/f.json:2", "/1_0")
    assert isinstance(second, Draft)
    (row,) = rows_of(json.dumps(line("1_0", "Banks_1")).encode())
    assert isinstance(row, Draft)
    assert row.turns == [("user", "余额多少？"), ("assistant", "五元。")]
    assert row.given_id == "dev/1_0"


def test_every_dialogue_belongs_to_the_service_it_begins_with() -> None:
    dialogues = [original("a", "Banks_1"), original("b", "Hotels_4", "Banks_2")]
    dialogues += [original("c", "Banks_2", "Hotels_1")]
    content = json.dumps(dialogues).encode()

    def chosen(service: str) -> set[str | None]:
        return {row.given_id for row in rows_of(content, service) if isinstance(row, Draft)}

    assert chosen("banks") == {"/a", "/c"}
    assert chosen("Hotels") == {"/b"}
    assert chosen("Banks_2") == {"/c"}
    (other,) = [row for row in rows_of(content, "banks") if isinstance(row, Reject)]
    assert (other.kind, other.reason) == ("scope", "not selected: Hotels_4")
    assert domain_of("RentalCars_12") == "RentalCars"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"turns": []}, "missing field: `services`"),
        ({"services": [], "turns": []}, "no service"),
        ({"services": ["A"], "turns": [["USER"]]}, "wrong type: a turn is"),
        ({"services": ["A"], "turns": [["ROBOT", "x"]]}, "unknown role: 'ROBOT'"),
        ({"services": ["A"], "turns": [{"speaker": "USER"}]}, "missing field: `utterance`"),
    ],
)
def test_what_is_no_dialogue_is_set_aside(row: object, reason: str) -> None:
    (found,) = rows_of(json.dumps(row).encode())
    assert isinstance(found, Reject)
    assert found.reason.startswith(reason)


def test_another_selection_is_told() -> None:
    reading = Reading("ingest.sources.x", 1 << 20, select={"servcie": "banks"})
    with pytest.raises(ValueError, match=r"ingest.sources.x.select: .* by `service`, not by serv"):
        list(read_schema_guided("f", io.BytesIO(b"{}"), reading))
