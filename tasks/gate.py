"""Judge the candidate at the end of the curriculum by the rules, and write the verdict down."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from dialogue.config import Params
from dialogue.digests import file_digest
from dialogue.exam import exam_digest
from dialogue.gates import judge
from dialogue.log import Log
from dialogue.records import read_dialogues
from dialogue.scores import ModelRole, Score, read_scores
from dialogue.verdict import Candidate
from tasks._step import run

_LOGGER = logging.getLogger(__name__)


def gate(params: Params, log: Log, *, scores: Path, verdict: Path, summary: Path) -> None:
    """Hold the candidate's scores against `gate.rules`. A rejection is a result, not a failure."""
    domain = params.candidate
    rows = scores / domain / "rows.parquet"
    measured = read_scores(rows)
    candidate = Candidate(
        domain, _digest(measured, "candidate", rows), _digest(measured, "parent", rows)
    )
    judged = judge(
        measured,
        params.gate,
        candidate,
        params.curriculum[domain].against,
        exam_digest=exam_digest(list(read_dialogues(scores / domain / "exam.parquet"))),
        evidence_digest=file_digest(rows),
    )
    verdict.parent.mkdir(parents=True, exist_ok=True)
    verdict.write_text(json.dumps(judged.to_json(), indent=2) + "\n", encoding="utf-8")
    summary.parent.mkdir(parents=True, exist_ok=True)
    summary.write_text(judged.to_markdown(), encoding="utf-8")
    _LOGGER.info("%s", judged.sentence)
    counted = [finding for finding in judged.rules if finding.state != "not counted"]
    passed = sum(finding.state == "passed" for finding in counted)
    log.metrics({"rules_counted": len(counted), "rules_passed": passed})
    log.tags({"verdict": judged.verdict, "model_digest": candidate.digest})
    log.artifact(summary)


def _digest(scores: Sequence[Score], role: ModelRole, path: Path) -> str:
    found = {score.model_digest for score in scores if score.model_role == role}
    if len(found) != 1:
        raise ValueError(f"{path}: scores of {len(found)} {role} models; run evaluate again")
    return found.pop()


if __name__ == "__main__":
    run(gate)
