"""From ratings to a source of the next round."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dialogue.config import FileSource, Params
from dialogue.digests import file_digest
from dialogue.fingerprints import SCHEMA, Fingerprints, write_fingerprints
from dialogue.near_duplicates import signatures
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue, Turn
from dialogue.serving.store import Answer, ReplyStore
from dialogue.sources import raw_files, read
from tasks.feedback import TooLittle, feedback


@pytest.fixture
def few(params: Params) -> Params:
    """Two new dialogues make a round, with or without a test among them."""
    return wanting(params, dialogues=2, kept=1, tests=0)


def wanting(params: Params, *, dialogues: int, kept: int, tests: int) -> Params:
    """A round of so many new dialogues, of which validation must leave so many, tests so many."""
    settings = params.model_dump(by_alias=True)
    settings["feedback"]["min_dialogues"] = dialogues
    settings["validate"]["rules"]["num_dialogues"]["min"] = kept
    settings["validate"]["rules"]["num_test_dialogues"]["min"] = tests
    return Params.model_validate(settings)


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
    fingerprints = replies.with_name("fingerprints")
    if not fingerprints.exists():
        write_fingerprints(fingerprints)
    given = {
        "domain": "feedback_1",
        "source": source,
        "report": report,
        "learned": (),
        "tried": (),
        "fingerprints": fingerprints,
        **more,
    }
    feedback(params, replies=replies, **given)
    return source, json.loads(given["report"].read_text())


def serve(replies: Path, *dialogues: Sequence[str]) -> None:
    """Serve these dialogues, each a text per turn; all are liked, by a user each."""
    store = ReplyStore(replies)
    for number, (*said, text) in enumerate(dialogues):
        roles = ("user", "assistant")
        history = tuple(Turn(roles[i % 2], each) for i, each in enumerate(said))  # type: ignore[arg-type]
        name = f"{text} {number}"
        store.add_answer(
            Answer(
                name, "2026-11-24T12:00:00.000+00:00", "perennial", "3", "d" * 64,
                name, None, history, text, "stop", 5, 5, 0.1,
            )
        )  # fmt: skip
        store.add_rating(name, "up", "")
    store.close()


def talks(start: int, number: int) -> list[tuple[str, str]]:
    """Questions and answers that nobody would take for one another."""
    return [(words(f"ask {n}"), words(f"tell {n}")) for n in range(start, start + number)]


def words(seed: str) -> str:
    return " ".join(hashlib.sha256(f"{seed} {n}".encode()).hexdigest()[:8] for n in range(12))


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
        "new": 2,
        "needed": 2,
        "lacking": None,
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
    with pytest.raises(TooLittle, match=r"2 dialogues are worth a round, 150 are needed") as few:
        harvested(params, replies)
    assert str(report) in str(few.value)
    assert "\n" not in str(few.value)
    assert not source.exists()
    assert json.loads(report.read_text())["kept"] == 2


def test_a_later_round_learns_nothing_again(few: Params, replies: Path) -> None:
    source, _ = harvested(few, replies)
    with pytest.raises(TooLittle, match="0 dialogues are worth a round"):
        harvested(few, replies, learned=[source], **second(replies))


def test_what_no_champion_learned_is_learned_with_the_next_round(
    few: Params, replies: Path
) -> None:
    """A round that was rejected is not tried again for its own sake."""
    first, _ = harvested(few, replies)
    again = "0 dialogues are worth a round besides 2 of rounds that no champion learned"
    with pytest.raises(TooLittle, match=again):
        harvested(few, replies, tried=[first], **second(replies))
    serve(replies, *talks(0, 2))
    source, report = harvested(few, replies, tried=[first], **second(replies))
    assert (report["kept"], report["new"]) == (4, 2)
    assert len(_rows(few, second(replies)["source"])) == 4
    assert source.name == "round1.jsonl"


def test_a_round_begins_with_enough_for_the_exam(params: Params, tmp_path: Path) -> None:
    """Its dialogues do not change any more: what validation stops once, it stops always."""
    replies = tmp_path / "replies.sqlite"
    some = wanting(params, dialogues=40, kept=40, tests=12)
    serve(replies, *talks(0, 40))
    with pytest.raises(TooLittle) as little:
        harvested(some, replies)
    found = re.search(
        r"of 40 dialogues (\d+) are left by validation for the test split, 12 are needed "
        r"\(validate\.rules\.num_test_dialogues\), about (\d+) dialogues more",
        str(little.value),
    )
    assert found, str(little.value)
    tests, more = map(int, found.groups())
    assert more == math.ceil((12 - tests) / 0.15)
    assert not (tmp_path / "round1.jsonl").exists()
    assert json.loads((tmp_path / "round1.json").read_text())["lacking"] in str(little.value)
    serve(replies, *talks(40, 80))
    source, _ = harvested(some, replies)
    rows = _rows(some, source, some.ingest.test_share)
    assert sum(row.split == "test" for row in rows) >= 12


def test_what_validation_sets_aside_does_not_count(params: Params, tmp_path: Path) -> None:
    """An exam of what an earlier domain trained on is none."""
    some = wanting(params, dialogues=40, kept=40, tests=1)
    replies = tmp_path / "replies.sqlite"
    serve(replies, *talks(0, 40))
    harvested(some, replies)
    remember(tmp_path / "remembered", talks(0, 40))
    with pytest.raises(TooLittle, match="left by validation, 40 are needed"):
        harvested(some, replies, fingerprints=tmp_path / "remembered", **second(replies))


def test_a_rule_that_only_warns_begins_a_round(params: Params, tmp_path: Path) -> None:
    settings = wanting(params, dialogues=2, kept=1, tests=20).model_dump(by_alias=True)
    settings["validate"]["domains"]["feedback_*"]["num_test_dialogues"] = {
        "min": 20,
        "action": "warn",
    }
    serve(tmp_path / "replies.sqlite", *talks(0, 2))
    harvested(Params.model_validate(settings), tmp_path / "replies.sqlite")


@pytest.mark.parametrize(
    "line", ["who,what", '{"text": "a form"}', '{"messages": [{"role": "user"}]}']
)
def test_a_source_that_no_round_wrote_is_named_with_its_line(
    few: Params, replies: Path, line: str
) -> None:
    source, _ = harvested(few, replies)
    with source.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match=rf"{source}:3: no dialogue as a feedback round has them"):
        harvested(few, replies, learned=[source], **second(replies))


def test_a_source_that_is_gone_is_asked_back(few: Params, replies: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.jsonl: cannot be read .* restore it"):
        harvested(few, replies, learned=[replies.with_name("gone.jsonl")])


def test_nothing_served_nothing_learned(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing was served yet; start `perennial serve`"):
        harvested(params, tmp_path / "replies.sqlite")
    assert [path.name for path in tmp_path.iterdir()] == ["fingerprints"]


def second(replies: Path) -> dict[str, Any]:
    """What a second round is called, and where it is written."""
    source, report = replies.with_name("round2.jsonl"), replies.with_name("round2.json")
    return {"domain": "feedback_2", "source": source, "report": report}


def remember(folder: Path, dialogues: Sequence[Sequence[str]]) -> None:
    """Fingerprints of a domain that was trained on these."""
    names = [f"{number:016x}" for number in range(len(dialogues))]
    splits = ["train"] * len(dialogues)
    facts = pa.table([names, names, splits], schema=SCHEMA)
    write_fingerprints(folder, Fingerprints("weather", facts, signatures(dialogues)))


def _rows(params: Params, source: Path, test_share: float = 0.0) -> list[Any]:
    """What ingest reads of a harvested source."""
    harvest = FileSource(kind="file", path=str(source), format="messages", licence="MIT")
    return list(
        read(
            harvest,
            raw_files(harvest),
            "feedback_1",
            test_share=test_share,
            validation_share=0.0,
            scrubber=Scrubber(params.ingest.scrub),
            max_row_bytes=params.ingest.max_row_bytes,
        )
    )
