"""What an evaluation found, summed up for people: figures with intervals, the matrix, samples."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dialogue.metrics import METRICS
from dialogue.metrics.matrix import Lifelong, Matrix, lifelong
from dialogue.records import Dialogue
from dialogue.replies import Reply
from dialogue.scores import Key, ModelRole, Sample, Score, collect, estimate
from dialogue.statistics import bootstrap, interval

MATRIX_METRIC = "bits_per_byte"

_COMPARED: tuple[ModelRole, ...] = ("candidate", "champion", "base")
_RESAMPLES = 1_000
_NUM_SAMPLES = 12
_HISTORY_TURNS = 4


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric with its 95 % interval, from so many dialogues."""

    value: float
    low: float
    high: float
    num_dialogues: int


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation in figures.

    Attributes:
        models: role → digest.
        figures_of: domain → metric → role → figure.
        matrix: (learned, domain) → bits per byte.
        speed: how long it took; the only part that differs between equal runs.
        size: the candidate's `parameters`, and the `bytes` of its weights.
    """

    domain: str
    exam_digest: str
    models: dict[str, str]
    figures_of: dict[str, dict[str, dict[str, Figure]]]
    matrix: Matrix
    lifelong: Lifelong
    speed: dict[str, float] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain values; what is not finite becomes null."""
        rows: dict[str, dict[str, float]] = {}
        for (learned, domain), value in self.matrix.items():
            rows.setdefault(learned, {})[domain] = value
        plain: dict[str, Any] = _finite(
            {
                "domain": self.domain,
                "exam_digest": self.exam_digest,
                "models": self.models,
                "metrics": {
                    domain: {
                        metric: {role: asdict(figure) for role, figure in roles.items()}
                        for metric, roles in metrics.items()
                    }
                    for domain, metrics in self.figures_of.items()
                },
                "lifelong": {"metric": MATRIX_METRIC, **asdict(self.lifelong), "matrix": rows},
                "speed": self.speed,
                "size": self.size,
            }
        )
        return plain

    def figures(self) -> dict[str, float]:
        """The candidate's figures, flat, for a tracker: `chitchat/hits_at_1`."""
        flat = {
            f"{domain}/{metric}": roles["candidate"].value
            for domain, metrics in self.figures_of.items()
            for metric, roles in metrics.items()
            if "candidate" in roles and math.isfinite(roles["candidate"].value)
        }
        summed = {
            f"lifelong/{name}": value
            for name, value in asdict(self.lifelong).items()
            if isinstance(value, float)
        }
        sizes = {f"size/{name}": float(value) for name, value in self.size.items()}
        return flat | summed | self.speed | sizes


def summarize(scores: Iterable[Score], lessons: Sequence[str], digest: str, seed: int) -> Report:
    """Sum an evaluation's scores up.

    Args:
        scores: of all models, earlier rounds' included.
        lessons: the domains the candidate has learned, oldest first.
        digest: the exam's.
        seed: of the intervals' resamples.
    """
    scores = list(scores)
    samples = collect(scores)
    figures: dict[str, dict[str, dict[str, Figure]]] = {}
    for key, sample in samples.items():
        if key.role in _COMPARED:
            metrics = figures.setdefault(key.domain, {})
            metrics.setdefault(key.metric, {})[key.role] = _figure(key, sample, seed)
    matrix = _matrix(samples)
    return Report(
        domain=lessons[-1],
        exam_digest=digest,
        models={
            score.model_role: score.model_digest
            for score in scores
            if score.model_role != "ancestor"
        },
        figures_of=figures,
        matrix=matrix,
        lifelong=lifelong(matrix, lessons, METRICS[MATRIX_METRIC]),
    )


def matrix_csv(report: Report) -> str:
    """The matrix as a table that DVC plots: one line per cell, named by both domains."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["cell", "learned", "domain", MATRIX_METRIC])
    for (learned, domain), value in report.matrix.items():
        writer.writerow([f"{domain} after {learned}", learned, domain, f"{value:.6f}"])
    return text.getvalue()


def samples_markdown(exam: Mapping[str, Sequence[Dialogue]], replies: Iterable[Reply]) -> str:
    """A dozen dialogues, domains in turn: what was said, and what the models say."""
    said = {(reply.model_role, reply.domain, reply.dialogue_id): reply.text for reply in replies}
    by_domain = [
        [(each, domain) for each in dialogues if ("candidate", domain, each.id) in said]
        for domain, dialogues in exam.items()
    ]
    mixed = [pair for group in itertools.zip_longest(*by_domain) for pair in group if pair]
    parts = ["# Replies side by side\n"]
    for dialogue, domain in mixed[:_NUM_SAMPLES]:
        last = max(i for i, turn in enumerate(dialogue.turns) if turn.role == "assistant")
        shown = dialogue.turns[max(0, last - _HISTORY_TURNS) : last]
        parts.append(f"## {domain} · {dialogue.id[:12]}\n")
        parts += [f"> **{turn.role}**: {_line(turn.text)}\n>" for turn in shown]
        parts.append("")
        parts.append(f"- human: {_line(dialogue.turns[last].text)}")
        for role in ("candidate", "champion"):
            if (reply := said.get((role, domain, dialogue.id))) is not None:
                parts.append(f"- {role}: {_line(reply)}")
        parts.append("")
    return "\n".join(parts)


def _figure(key: Key, sample: Sample, seed: int) -> Figure:
    metric = METRICS[key.metric]
    clusters = np.stack([sample.value, sample.weight], axis=1)
    resampled = bootstrap(
        clusters, lambda sums: metric(sums[..., 0], sums[..., 1]), _RESAMPLES, seed
    )
    return Figure(resampled.estimate, *interval(resampled), num_dialogues=sample.count)


def _matrix(samples: Mapping[Key, Sample]) -> dict[tuple[str, str], float]:
    """Every model of the lineage on every domain it was examined on; the champion is no part."""
    return {
        (key.learned, key.domain): estimate(key.metric, sample)
        for key, sample in samples.items()
        if key.metric == MATRIX_METRIC and key.role != "champion"
    }


def _line(text: str) -> str:
    return " ⏎ ".join(text.split("\n")).strip() or "(nothing)"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
