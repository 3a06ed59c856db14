from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dialogue.config import Params
from dialogue.log import SilentLog
from dialogue.records import (
    SCHEMA,
    Dialogue,
    Reject,
    Turn,
    content_digest,
    read_dialogues,
    read_rejects,
    write_dialogues,
    write_rejects,
)
from tasks.validate import validate

SMALL = {
    "min_dialogues": 3,
    "min_test_dialogues": 1,
    "max_turn_characters": 100,
    "max_turns": 6,
    "max_rejected_share": 0.5,
    "max_duplicate_share": 0.5,
}


def dialogue(asked: str, split: Any = "train", num_turns: int = 2) -> Dialogue:
    turns = tuple(
        Turn("assistant" if index % 2 else "user", f"{asked} {index}") for index in range(num_turns)
    )
    return Dialogue(
        content_digest(turns)[:16], turns, "chat", split, "s", f"f:{asked}", "MIT", "0" * 64
    )


GOOD = [dialogue("a"), dialogue("b"), dialogue("c", "test"), dialogue("d", "validation")]


class Domain:
    """A domain's records in a folder, and what validation leaves."""

    def __init__(self, folder: Path, params: Params) -> None:
        self.folder = folder
        self.params = params
        self.rejects: list[Reject] = []

    def write(self, dialogues: list[Dialogue], **counts: int) -> None:
        records = self.folder / "records"
        write_dialogues(records / "dialogues.parquet", dialogues)
        write_rejects(records / "rejects.parquet", self.rejects)
        found = {
            "num_read": len(dialogues),
            "num_faults": 0,
            "num_duplicates": 0,
            "num_out_of_scope": 0,
            **counts,
        }
        (records / "counts.json").write_text(json.dumps(found))

    def rewrite(self, change: Callable[[list[dict[str, Any]]], None]) -> None:
        """Change the rows of the records as no code of ours would."""
        path = self.folder / "records" / "dialogues.parquet"
        rows = pq.read_table(path).to_pylist()
        change(rows)
        loose = pa.schema([pa.field(field.name, field.type) for field in SCHEMA])
        pq.write_table(pa.Table.from_pylist(rows, loose), path, write_page_checksum=True)

    def validate(self, **settings: float) -> dict[str, Any]:
        section = self.params.validate_.model_copy(update={**SMALL, **settings})
        validate(
            self.params.model_copy(update={"validate_": section}),
            SilentLog(),
            domain="chat",
            records=self.folder / "records",
            valid=self.folder / "valid",
            docs=self.folder / "docs",
            report=self.folder / "report.json",
        )
        return self.report

    @property
    def report(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return content

    @property
    def page(self) -> str:
        return (self.folder / "docs" / "index.html").read_text()


@pytest.fixture
def domain(tmp_path: Path, params: Params) -> Domain:
    made = Domain(tmp_path, params)
    made.write(GOOD)
    return made


def test_good_records_pass_as_they_are(domain: Domain) -> None:
    report = domain.validate()
    assert report["num_failures"] == 0
    assert report["num_expectations"] > 20
    assert report["failures"] == []
    valid = domain.folder / "valid"
    assert list(read_dialogues(valid / "dialogues.parquet")) == GOOD
    assert read_rejects(valid / "rejects.parquet") == []
    assert "expectations are met" in domain.page


def test_the_page_loads_nothing_and_nothing_else_is_left(domain: Domain) -> None:
    domain.validate()
    assert "http:" not in domain.page
    assert "https:" not in domain.page
    assert "<script" not in domain.page
    assert "default-src 'none'" in domain.page
    left = sorted(path.name for path in domain.folder.iterdir())
    assert left == ["docs", "records", "report.json", "valid"]


def test_validation_says_nothing(domain: Domain, capfd: pytest.CaptureFixture[str]) -> None:
    domain.validate()
    assert capfd.readouterr() == ("", "")


def test_faulty_dialogues_are_set_aside_with_those_of_ingest(domain: Domain) -> None:
    domain.rejects = [Reject("f:0", "not JSON: x", "{")]
    faulty = [dialogue("x" * 100), dialogue("e", num_turns=8), dialogue("f\ufffd"), dialogue("\0")]
    domain.write([*GOOD, *GOOD[:0], *faulty], num_read=9, num_faults=1)
    report = domain.validate(max_rejected_share=0.7)
    assert report["num_set_aside"] == 4
    assert report["rejected_share"] == pytest.approx(1 / 9 + 4 / 8)
    assert list(read_dialogues(domain.folder / "valid" / "dialogues.parquet")) == GOOD
    rejects = read_rejects(domain.folder / "valid" / "rejects.parquet")
    assert [row.reason for row in rejects] == [
        "not JSON: x",
        "turn too long: 102 characters, at most 100",
        "too many turns: 8, at most 6",
        "damaged text: holds U+FFFD",
        "damaged text: holds NUL",
    ]
    assert rejects[1].origin == f"f:{'x' * 100}"


def test_a_failure_names_all_and_leaves_page_and_report_but_no_data(domain: Domain) -> None:
    domain.write(GOOD, num_read=10, num_faults=2, num_duplicates=4)
    with pytest.raises(ValueError, match="not met") as raised:
        domain.validate(min_dialogues=50, max_rejected_share=0.1, max_duplicate_share=0.3)
    fewer, rejected, repeated = str(raised.value).splitlines()
    assert fewer.startswith(
        "chat: not met: at least 50 dialogues (validate.min_dialogues); found 4 "
    )
    assert "expect_column_min_to_be_between with column=num_dialogues, min_value=50" in fewer
    assert str(domain.folder / "report.json") in fewer
    assert str(domain.folder / "docs" / "index.html") in fewer
    assert "at most 10% of the rows set aside as faulty" in rejected
    assert "found 0.4" in repeated
    assert domain.report["num_failures"] == 3
    assert "3 of" in domain.page
    assert not (domain.folder / "valid").exists()


def renumber(rows: list[dict[str, Any]]) -> None:
    rows[1]["turn"] = 7


def other_role(rows: list[dict[str, Any]]) -> None:
    rows[0]["role"] = "<script>bot</script>"


def same_role(rows: list[dict[str, Any]]) -> None:
    rows[0]["role"] = rows[1]["role"] = "assistant"


def two_splits(rows: list[dict[str, Any]]) -> None:
    rows[1]["split"] = "test"


def other_split(rows: list[dict[str, Any]]) -> None:
    rows[0]["split"] = rows[1]["split"] = "dev"


def other_domain(rows: list[dict[str, Any]]) -> None:
    rows[0]["domain"] = "elsewhere"


def no_licence(rows: list[dict[str, Any]]) -> None:
    rows[0]["licence"] = None


def twice(rows: list[dict[str, Any]]) -> None:
    rows += rows[:2]


def typography(rows: list[dict[str, Any]]) -> None:
    copies = [dict(row, text=row["text"] + "!", split="test") for row in rows[:2]]
    rows += [dict(row, dialogue_id="f" * 16) for row in copies]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renumber, "turns are numbered from 0 on"),
        (other_role, "a turn's role is system, user or assistant"),
        (same_role, "user and assistant take turns"),
        (two_splits, "no dialogue is in two splits"),
        (other_split, "a split is train, validation or test"),
        (other_domain, "all turns are of chat"),
        (no_licence, "`licence` is filled in"),
        (twice, "no dialogue stands in the records twice"),
        (typography, "no dialogue is in another split in other typography"),
    ],
)
def test_each_expectation_bites(
    domain: Domain, change: Callable[[list[dict[str, Any]]], None], said: str
) -> None:
    domain.rewrite(change)
    with pytest.raises(ValueError, match="not met") as raised:
        domain.validate()
    assert any(said in line for line in str(raised.value).splitlines())
    assert said.replace("'", "&#x27;") in domain.page
    failures = domain.report["failures"]
    assert [failure for failure in failures if said in failure["description"]]
    assert "<script" not in domain.page


def test_a_turn_without_text_is_set_aside(domain: Domain) -> None:
    domain.write([*GOOD, dialogue("e")])

    def empty(rows: list[dict[str, Any]]) -> None:
        rows[8]["text"] = None

    domain.rewrite(empty)
    assert domain.validate()["num_set_aside"] == 1


def test_no_dialogue_at_all_fails_and_leaves_the_page(domain: Domain) -> None:
    domain.write([])
    with pytest.raises(ValueError, match="at least 3 dialogues"):
        domain.validate()
    assert "at least 3 dialogues" in domain.page


def test_what_ingest_did_not_leave_is_told(domain: Domain) -> None:
    (domain.folder / "records" / "counts.json").unlink()
    with pytest.raises(ValueError, match=r"counts.json: no such file; run ingest first"):
        domain.validate()
    (domain.folder / "records" / "dialogues.parquet").unlink()
    with pytest.raises(ValueError, match="no such records file"):
        domain.validate()
