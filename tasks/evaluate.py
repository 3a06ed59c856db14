"""Examine a candidate on every domain so far, beside the base, its parent and the champion."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from dialogue.config import Evaluate, Params
from dialogue.exam import GENERAL, INSTRUCTIONS, compose_exam, exam_digest
from dialogue.instructions import plain_instructions
from dialogue.log import Log
from dialogue.manifest import read_manifest, verify_manifest
from dialogue.metrics.labels import label_set
from dialogue.metrics.novelty import Seen, seen_ngrams
from dialogue.records import Dialogue, read_dialogues, write_dialogues
from dialogue.replies import Reply, write_replies
from dialogue.report import MATRIX_METRIC, Report, matrix_csv, samples_markdown, summarize
from dialogue.scores import Score, gains_over_base, read_scores, write_scores
from tasks._exam_files import BASE, EXAM, LABELS, NGRAMS, REPLIES, ROWS
from tasks._examiner import Examined, Examiner, choose_similarity
from tasks._step import run
from tasks.releases import model_folder, open_store


def evaluate(
    params: Params,
    log: Log,
    *,
    domain: str,
    valid: Path,
    model: Path,
    parent: Path,
    base: Path,
    parent_scores: Path,
    scores: Path,
    report: Path,
    samples: Path,
    plot: Path,
) -> None:
    """Score candidate, base, parent and champion on one exam, and say what came of it.

    The candidate and the champion that the round must beat answer everything on every domain; the
    base and the parent are asked only how likely the responses are, for gain and transfer.
    """
    began = time.monotonic()
    lesson = params.curriculum[domain]
    verify_manifest(valid)
    exam = _exam(valid, domain, parent_scores, params.evaluate)
    digest = exam_digest([dialogue for part in exam.values() for dialogue in part])
    before = None if lesson.after == BASE else parent_scores
    seen, labels = _seen(valid, before), _labels(valid, domain, before, params.evaluate.max_labels)
    similarity = choose_similarity(params.evaluate)
    examiner = Examiner(params.evaluate, exam, seen, similarity, labels)

    earlier = [] if before is None else _history(before)
    untaught = examiner.of_base(base, earlier)
    candidate = examiner.examine(model, "candidate", domain)
    champion = Examined()
    if lesson.against is not None:
        folder = model_folder(open_store(Path.cwd()), lesson.against)
        champion = examiner.examine(folder, "champion", str(read_manifest(folder)["domain"]))
    of_parent = examiner.of_parent(parent, lesson.after, domain, untaught)
    untaught_replies = [score for score in untaught if score.domain not in GENERAL]

    rows = [
        *candidate.scores,
        *gains_over_base(candidate.scores, untaught_replies),
        *champion.scores,
        *gains_over_base(champion.scores, untaught_replies),
        *of_parent,
        *untaught,
        *[score for score in earlier if score.model_role == "ancestor"],
    ]
    replies = candidate.replies + champion.replies
    _write(scores, rows, exam, seen, replies)
    _write_text(scores / LABELS, json.dumps(labels, ensure_ascii=False, indent=2) + "\n")
    seconds = time.monotonic() - began
    summary = summarize(rows, params.lineage(domain), digest, params.evaluate.seed)
    summary.speed.update(seconds=seconds, **examiner.pace.speed())
    summary.size.update(candidate.size)
    _write_text(report, json.dumps(summary.to_json(), indent=2) + "\n")
    _write_text(samples, samples_markdown(exam, replies))
    _write_text(plot, matrix_csv(summary))
    _tell(log, summary, scores, digest, samples)


def _exam(
    valid: Path, domain: str, parent_scores: Path, settings: Evaluate
) -> dict[str, list[Dialogue]]:
    before = read_dialogues(parent_scores / EXAM)
    new = read_dialogues(valid / "dialogues.parquet", "test")
    if settings.instructions:
        asked = chain(before, plain_instructions(), new)
    else:
        asked = chain((each for each in before if each.domain != INSTRUCTIONS), new)
    exam = compose_exam(asked, settings.max_dialogues)
    if not exam.get(domain):
        raise ValueError(
            f"{valid}: no test dialogue with a response; raise ingest.test_share or add dialogues"
        )
    return exam


def _seen(valid: Path, parent_scores: Path | None) -> Seen:
    """N-grams of all training dialogues so far; None before the first lesson."""
    training = read_dialogues(valid / "dialogues.parquet", "train")
    if parent_scores is None:
        return seen_ngrams(training)
    return seen_ngrams(training, np.load(parent_scores / NGRAMS, allow_pickle=False))


def _labels(
    valid: Path, domain: str, parent_scores: Path | None, max_labels: int
) -> dict[str, list[str]]:
    """All labels of each labelled domain so far, as training has them."""
    labels: dict[str, list[str]] = {}
    if parent_scores is not None:
        labels = json.loads((parent_scores / LABELS).read_text(encoding="utf-8"))
    found = label_set(read_dialogues(valid / "dialogues.parquet", "train"), max_labels)
    return labels | ({domain: found} if found else {})


def _history(parent_scores: Path) -> list[Score]:
    """What earlier rounds measured: of the base, and for the matrix of their other models.

    The champion is no part of the matrix, and of the base as a parent it has the base's own row.
    """
    return [
        score if score.model_role == BASE else replace(score, model_role="ancestor")
        for score in read_scores(parent_scores / ROWS)
        if score.model_role == BASE
        or (
            score.metric == MATRIX_METRIC
            and score.model_role != "champion"
            and score.learned != BASE
        )
    ]


def _write(
    folder: Path,
    rows: Sequence[Score],
    exam: Mapping[str, Sequence[Dialogue]],
    seen: Seen,
    replies: Sequence[Reply],
) -> None:
    write_scores(folder / ROWS, rows)
    write_replies(folder / REPLIES, replies)
    write_dialogues(folder / EXAM, (dialogue for part in exam.values() for dialogue in part))
    np.save(folder / NGRAMS, seen, allow_pickle=False)


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _tell(log: Log, summary: Report, scores: Path, digest: str, samples: Path) -> None:
    log.dataset("exam", digest, scores / EXAM, "evaluation")
    log.tags({"model_digest": summary.models["candidate"], "exam_digest": digest})
    log.metrics(summary.figures())
    log.artifact(samples)


if __name__ == "__main__":
    run(evaluate)
