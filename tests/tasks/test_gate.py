from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from dialogue.config import Gate, Lesson, Params, Rule
from dialogue.digests import file_digest
from dialogue.exam import exam_digest
from dialogue.log import SilentLog
from dialogue.records import Dialogue, Turn, write_dialogues
from dialogue.scores import ModelRole, Score, write_scores
from tasks._verdict import check_verdict, read_verdict
from tasks.gate import gate

NUM_DIALOGUES = 30


class Tags(SilentLog):
    """A log that remembers its tags."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def tags(self, values: Mapping[str, str]) -> None:
        self.seen.update(values)


def rows(role: ModelRole, digest: str, value: float) -> list[Score]:
    return [
        Score(role, digest, "chitchat", "chitchat", f"{i:03d}", "bits_per_byte", value, 1.0)
        for i in range(NUM_DIALOGUES)
    ]


def settings(params: Params, against: str | None = None) -> Params:
    rules = (
        Rule(name="fluent", metric="bits_per_byte", slice="each", kind="bound", max=2.0),
        Rule(name="better", metric="bits_per_byte", slice="target", kind="superiority"),
    )
    strict = Gate(alpha=0.05, resamples=200, min_dialogues=20, seed=1, rules=rules)
    curriculum = {"chitchat": Lesson(after="base", against=against)}
    return params.model_copy(update={"gate": strict, "curriculum": curriculum})


def write(folder: Path, scores: list[Score]) -> list[Dialogue]:
    exam = [
        Dialogue(f"{i:03d}", (Turn("assistant", "x"),), "chitchat", "test", "s", "o", "MIT", "d")
        for i in range(NUM_DIALOGUES)
    ]
    write_dialogues(folder / "chitchat" / "exam.parquet", exam)
    write_scores(folder / "chitchat" / "rows.parquet", scores)
    return exam


def judged(params: Params, folder: Path, log: SilentLog) -> Path:
    verdict = folder / "reports" / "verdict.json"
    gate(params, log, scores=folder, verdict=verdict, summary=folder / "reports" / "verdict.md")
    return verdict


def test_the_verdict_is_bound_to_model_exam_and_evidence(params: Params, tmp_path: Path) -> None:
    exam = write(tmp_path, rows("candidate", "c" * 64, 1.0) + rows("parent", "p" * 64, 1.5))
    log = Tags()
    path = judged(settings(params), tmp_path, log)
    verdict = read_verdict(path)
    evidence = tmp_path / "chitchat" / "rows.parquet"
    check_verdict(verdict, "c" * 64, evidence)
    assert verdict["candidate"] == {"domain": "chitchat", "digest": "c" * 64, "parent": "p" * 64}
    assert verdict["verdict"] == "PROMOTE"
    assert verdict["champion"] is None
    assert verdict["exam_digest"] == exam_digest(exam)
    assert verdict["evidence_digest"] == file_digest(evidence)
    assert verdict["metrics"] == {"chitchat": {"bits_per_byte": 1.0}}
    assert [rule["passed"] for rule in verdict["rules"]] == [True, None]
    assert log.seen == {"verdict": "PROMOTE", "model_digest": "c" * 64}
    assert verdict["sentence"] in (tmp_path / "reports" / "verdict.md").read_text()


def test_a_rejection_is_a_result(params: Params, tmp_path: Path) -> None:
    scores = rows("candidate", "c" * 64, 1.2) + rows("parent", "p" * 64, 1.5)
    write(tmp_path, scores + rows("champion", "h" * 64, 1.0))
    verdict = json.loads(judged(settings(params, "h" * 64), tmp_path, SilentLog()).read_text())
    assert verdict["verdict"] == "REJECT"
    assert "chitchat is 20.0% worse than the champion" in verdict["sentence"]


def test_scores_that_do_not_fit_the_round_are_refused(params: Params, tmp_path: Path) -> None:
    write(tmp_path, rows("candidate", "c" * 64, 1.0))
    with pytest.raises(ValueError, match="scores of 0 parent models; run evaluate again"):
        judged(settings(params), tmp_path, SilentLog())
    scores = rows("candidate", "c" * 64, 1.0) + rows("parent", "p" * 64, 1.5)
    write(tmp_path, scores + rows("champion", "h" * 64, 1.0))
    with pytest.raises(ValueError, match=r"champion is hhhh.*, not absent; run evaluate again"):
        judged(settings(params), tmp_path, SilentLog())


def test_missing_scores_are_named(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rows\.parquet: no such scores file"):
        judged(settings(params), tmp_path, SilentLog())
