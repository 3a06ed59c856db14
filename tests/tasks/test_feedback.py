"""From ratings to a source of the next round."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from dialogue.config import FileSource, Params
from dialogue.digests import file_digest
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue, Turn
from dialogue.serving.store import Answer, ReplyStore
from dialogue.sources import raw_files, read
from tasks.feedback import feedback


@pytest.fixture
def few(params: Params) -> Params:
    wanted = params.feedback.model_copy(update={"min_dialogues": 2})
    return params.model_copy(update={"feedback": wanted})


@pytest.fixture
def replies(tmp_path: Path) -> Path:
    """Three replies that people liked, one of them cut short, and one that they did not like."""
    path = tmp_path / "feedback" / "replies.sqlite"
    store = ReplyStore(path)
    said = [("Grüß dich! 🙂", "stop"), ("so\u2028so\nwell", "stop"), ("I was", "length")]
    for index, (text, finish) in enumerate([*said, ("go", "stop")]):
        history = (Turn("user", f"hello {index}"),)
        store.add_answer(
            Answer(
                f"r{index}", "2026-11-24T12:00:00.000+00:00", "perennial", "3", "d" * 64,
                "ann", None, history, text, finish, 5, 5, 0.1,
            )
        )  # fmt: skip
        store.add_rating(f"r{index}", "down" if text == "go" else "up", "because")
    store.close()
    return path


def harvested(params: Params, replies: Path, **more: Any) -> tuple[Path, dict[str, Any]]:
    source, report = replies.with_name("round1.jsonl"), replies.with_name("round1.json")
    paths = {"source": source, "report": report, "earlier": (), **more}
    feedback(params, replies=replies, **paths)
    return source, json.loads(report.read_text())


def test_liked_dialogues_become_a_source(few: Params, replies: Path) -> None:
    source, report = harvested(few, replies)
    assert [row.turns for row in _rows(few, source) if isinstance(row, Dialogue)] == [
        (Turn("user", "hello 0"), Turn("assistant", "Grüß dich! 🙂")),
        (Turn("user", "hello 1"), Turn("assistant", "so\u2028so\nwell")),
    ]
    version = report.pop("versions")["perennial@3"]
    assert (version["replies"], version["rated"], version["satisfied"]) == (4, 4, 0.75)
    assert report == {
        "rated": 4,
        "rated_up": 3,
        "rated_down": 1,
        "kept": 2,
        "needed": 2,
        "source": str(source),
        "source_digest": file_digest(source),
        "set_aside": {"the reply did not come to its end (length)": 1},
        "replies_set_aside": [
            {"reply_id": "r2", "reason": "the reply did not come to its end (length)"}
        ],
    }


def test_every_dialogue_leads_back_to_its_reply_and_to_no_person(
    few: Params, replies: Path
) -> None:
    source, _ = harvested(few, replies)
    rows = [json.loads(line) for line in io.StringIO(source.read_text(encoding="utf-8"))]
    assert [row["reply_id"] for row in rows] == ["r0", "r1"]
    assert {(row["model"], row["digest"]) for row in rows} == {("perennial@3", "d" * 64)}
    assert "ann" not in source.read_text(encoding="utf-8")


def test_too_few_leave_a_report_and_no_source(params: Params, replies: Path) -> None:
    source, report = replies.with_name("round1.jsonl"), replies.with_name("round1.json")
    with pytest.raises(ValueError, match=r"2 dialogues are worth a round, 150 are needed") as few:
        feedback(params, replies=replies, source=source, report=report, earlier=())
    assert str(report) in str(few.value)
    assert "\n" not in str(few.value)
    assert not source.exists()
    assert json.loads(report.read_text())["kept"] == 2


def test_a_later_round_learns_nothing_again(few: Params, replies: Path) -> None:
    source, _ = harvested(few, replies)
    again = {"source": replies.with_name("round2.jsonl"), "report": replies.with_name("r2.json")}
    with pytest.raises(ValueError, match="0 dialogues are worth a round"):
        harvested(few, replies, earlier=[source], **again)


def test_nothing_served_nothing_learned(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing was served yet; start `perennial serve`"):
        harvested(params, tmp_path / "replies.sqlite")
    assert list(tmp_path.iterdir()) == []


def _rows(params: Params, source: Path) -> list[Any]:
    """What ingest reads of a harvested source."""
    harvest = FileSource(kind="file", path=str(source), format="messages", licence="MIT")
    return list(
        read(
            harvest,
            raw_files(harvest),
            "feedback_1",
            test_share=0.0,
            validation_share=0.0,
            scrubber=Scrubber(params.ingest.scrub),
            max_row_bytes=params.ingest.max_row_bytes,
        )
    )
