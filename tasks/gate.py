"""Judge the candidate at the end of the curriculum by the rules, and write the verdict down."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from dialogue.config import Params
from dialogue.digests import file_digest
from dialogue.exam import GENERAL, compose_exam, exam_digest
from dialogue.gates import judge
from dialogue.instructions import plain_instructions
from dialogue.log import Log
from dialogue.manifest import read_manifest, verify_manifest
from dialogue.records import Dialogue, read_dialogues, write_dialogues
from dialogue.scores import ModelRole, Score, gains_over_base, read_scores, write_scores
from dialogue.verdict import Candidate, Verdict
from tasks._exam_files import BASE, EXAM, LABELS, NGRAMS, ROWS
from tasks._step import run
from tasks.releases import model_folder, open_store

_LOGGER = logging.getLogger(__name__)

Exam = Mapping[str, Sequence[Dialogue]]


def gate(
    params: Params,
    log: Log,
    *,
    scores: Path,
    valid: Path,
    models: Path,
    evidence: Path,
    verdict: Path,
    summary: Path,
) -> None:
    """Hold the candidate's scores against `gate.rules`. A rejection is a result, not a failure.

    Where the rules leave it undecided and there are dialogues that were not asked, up to
    `gate.second_look` a domain, all models are examined once more on those as well, and what is
    judged then is final. Whether there may be a second look is known before the first: each of two
    has half of α, so that looking twice promotes nobody by luck more often than looking once.
    """
    domain = params.candidate
    rows = scores / domain / ROWS
    measured = read_scores(rows)
    candidate = Candidate(
        domain, _digest(measured, "candidate", rows), _digest(measured, "parent", rows)
    )
    look = _Look(list(read_dialogues(scores / domain / EXAM)), measured)
    more = _more(params, look, scores, valid)
    looks = 2 if more else 1
    judged = _judge(params, candidate, look, evidence, 1, looks)
    if undecided := _undecided(judged) & more.keys():
        _LOGGER.info("%s A second look, at more of %s …", judged.sentence, ", ".join(undecided))
        look = _look_again(params, look, more, scores, models)
        judged = _judge(params, candidate, look, evidence, 2, looks)
    verdict.parent.mkdir(parents=True, exist_ok=True)
    verdict.write_text(json.dumps(judged.to_json(), indent=2) + "\n", encoding="utf-8")
    summary.parent.mkdir(parents=True, exist_ok=True)
    summary.write_text(judged.to_markdown(), encoding="utf-8")
    _LOGGER.info("%s", judged.sentence)
    counted = [finding for finding in judged.rules if finding.state != "not counted"]
    passed = sum(finding.state == "passed" for finding in counted)
    log.metrics({"rules_counted": len(counted), "rules_passed": passed, "look": judged.look})
    log.tags({"verdict": judged.verdict, "model_digest": candidate.digest})
    log.artifact(summary)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a verdict rests on."""

    exam: Sequence[Dialogue]
    scores: Sequence[Score]


def _judge(
    params: Params, candidate: Candidate, look: _Look, evidence: Path, number: int, looks: int
) -> Verdict:
    """Write the evidence down, and judge by it."""
    write_scores(evidence / ROWS, look.scores)
    write_dialogues(evidence / EXAM, look.exam)
    return judge(
        look.scores,
        params.gate,
        candidate,
        params.curriculum[candidate.domain].against,
        exam_digest=exam_digest(look.exam),
        evidence_digest=file_digest(evidence / ROWS),
        look=number,
        looks=looks,
    )


def _undecided(judged: Verdict) -> set[str]:
    """Domains of which more dialogues may decide; who is rejected is not asked again."""
    if judged.verdict != "INCONCLUSIVE":
        return set()
    return {
        finding.slice
        for finding in judged.rules
        if finding.state == "undecided" and finding.of == "dialogues"
    }


def _more(params: Params, first: _Look, scores: Path, valid: Path) -> dict[str, list[Dialogue]]:
    """The larger exam of a second look, of the domains that have one; empty where none has."""
    if params.gate.second_look <= params.evaluate.max_dialogues:
        return {}
    asked = {dialogue.id for dialogue in first.exam}
    domains = {dialogue.domain for dialogue in first.exam}
    if params.curriculum[params.candidate].against is None:
        domains -= set(GENERAL)  # whose rules compare, and there is no champion to compare with
    parts = [read_dialogues(scores / BASE / EXAM), plain_instructions()]
    for domain in params.lineage(params.candidate):
        verify_manifest(valid / domain)
        parts.append(read_dialogues(valid / domain / "dialogues.parquet", "test"))
    exam = compose_exam(chain.from_iterable(parts), params.gate.second_look)
    return {
        domain: part
        for domain, part in exam.items()
        if domain in domains and any(dialogue.id not in asked for dialogue in part)
    }


def _look_again(params: Params, first: _Look, more: Exam, scores: Path, models: Path) -> _Look:
    """Examine candidate, champion and base on the first exam and on more of some domains."""
    # Imported here: most verdicts are given at the first look, without any model's start-up.
    from tasks._examiner import Examined, Examiner, choose_similarity  # noqa: PLC0415

    domain = params.candidate
    asked = compose_exam(first.exam, params.gate.second_look)
    exam = {name: more.get(name, part) for name, part in asked.items()}
    seen = np.load(scores / domain / NGRAMS, allow_pickle=False)
    labels = json.loads((scores / domain / LABELS).read_text(encoding="utf-8"))
    examiner = Examiner(params.evaluate, exam, seen, choose_similarity(params.evaluate), labels)
    untaught = [each for each in examiner.of_base(models / BASE, []) if each.domain not in GENERAL]
    candidate = examiner.examine(models / domain, "candidate", domain)
    champion = Examined()
    if (against := params.curriculum[domain].against) is not None:
        folder = model_folder(open_store(Path.cwd()), against)
        champion = examiner.examine(folder, "champion", str(read_manifest(folder)["domain"]))
    return _Look(
        [dialogue for part in exam.values() for dialogue in part],
        [
            *candidate.scores,
            *gains_over_base(candidate.scores, untaught),
            *champion.scores,
            *gains_over_base(champion.scores, untaught),
        ],
    )


def _digest(scores: Sequence[Score], role: ModelRole, path: Path) -> str:
    found = {score.model_digest for score in scores if score.model_role == role}
    if len(found) != 1:
        raise ValueError(f"{path}: scores of {len(found)} {role} models; run evaluate again")
    return found.pop()


if __name__ == "__main__":
    run(gate)
