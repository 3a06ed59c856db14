"""What stands on the card, as plain values: drawn from the verdict, the scores and the reports."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dialogue.card.samples import Sample
from dialogue.exam import GENERAL
from dialogue.metrics import METRICS
from dialogue.records import Dialogue

BASE = "base"
STATES = ("passed", "failed", "undecided", "not counted")

_SAID = {"verdict", "sentence", "candidate", "champion", "rules", "metrics"}
_ROLES = ("candidate", "champion", BASE)

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a card is made of.

    Attributes:
        verdict: as `gate` wrote it.
        lessons: the domains that the candidate learned, oldest first.
        exam: the dialogues it was examined on.
        samples: replies side by side.
        curves: of the base and of every lesson, as `read_curve` gives them.
        evaluation: what `evaluate` reported of the candidate.
        pretraining: what `pretrain` reported.
        ingested, validated, encoded, trained: those stages' reports by lesson.
        commit: what was checked out when the card was made.
    """

    verdict: Report
    lessons: Sequence[str]
    exam: Sequence[Dialogue]
    samples: Sequence[Sample]
    curves: Sequence[Report]
    evaluation: Report
    pretraining: Report
    ingested: Mapping[str, Report] = field(default_factory=dict)
    validated: Mapping[str, Report] = field(default_factory=dict)
    encoded: Mapping[str, Report] = field(default_factory=dict)
    trained: Mapping[str, Report] = field(default_factory=dict)
    commit: str | None = None


def card_content(evidence: Evidence) -> dict[str, Any]:
    """The card as plain values, for card.json and for the page."""
    verdict = evidence.verdict
    rules = list(verdict["rules"])
    content: dict[str, Any] = {
        "verdict": verdict["verdict"],
        "sentence": verdict["sentence"],
        "candidate": verdict["candidate"],
        "champion": verdict["champion"],
        "counts": {state: sum(rule["state"] == state for rule in rules) for state in STATES},
        "rules": _rules(rules),
        "lifelong": _lifelong(evidence),
        "curves": list(evidence.curves),
        "slices": _slices(evidence.evaluation.get("metrics", {}), evidence.lessons),
        "samples": [sample.to_json() for sample in evidence.samples],
        "exam": _exam(evidence.exam),
        "data": [_data(evidence, domain) for domain in evidence.lessons],
        "cost": _cost(evidence),
        "lineage": _lineage(evidence),
    }
    finite: dict[str, Any] = _finite(content)
    return finite


def _rules(findings: Iterable[Report]) -> list[dict[str, Any]]:
    """One entry a rule, with its findings domain by domain; `min` and `max` of a rule are one."""
    rules: dict[tuple[Any, ...], dict[str, Any]] = {}
    for finding in findings:
        about = {name: finding[name] for name in ("rule", "metric", "kind", "margin")}
        rule = rules.setdefault(
            tuple(about.values()), about | {"findings": [], **_about(finding["metric"])}
        )
        rule["findings"].append(dict(finding))
    return list(rules.values())


def _about(metric: str) -> dict[str, str | None]:
    known = METRICS.get(metric)
    return {
        "definition": known.definition if known else None,
        "unit": known.unit if known else None,
        "better": known.better if known else None,
    }


def _lifelong(evidence: Evidence) -> dict[str, Any]:
    """The matrix with a row per model of the lineage and a column per domain examined."""
    told = evidence.evaluation.get("lifelong", {})
    matrix = told.get("matrix", {})
    examined = dict.fromkeys(itertools.chain(*map(dict.keys, map(dict, matrix.values()))))
    domains = [domain for domain in (*GENERAL, *evidence.lessons) if domain in examined]
    learned = [row for row in (BASE, *evidence.lessons) if row in matrix]
    return {
        "exam_digest": evidence.evaluation.get("exam_digest"),
        "metric": told.get("metric"),
        **_about(told.get("metric", "")),
        "learned": learned,
        "domains": domains,
        "values": [[matrix[row].get(domain) for domain in domains] for row in learned],
        **{
            name: told.get(name)
            for name in ("average", "backward_transfer", "forward_transfer", "forgetting")
        },
        "forgetting_of": told.get("forgetting_of", {}),
    }


def _slices(metrics: Mapping[str, Report], lessons: Sequence[str]) -> list[dict[str, Any]]:
    """The newest domain first: it is what the round was made for."""
    order = [*reversed(lessons), *[domain for domain in metrics if domain not in lessons]]
    return [
        {
            "domain": domain,
            "metrics": [
                {
                    "metric": metric,
                    **_about(metric),
                    **{role: figures.get(role) for role in _ROLES},
                }
                for metric, figures in metrics[domain].items()
            ],
        }
        for domain in order
        if domain in metrics
    ]


def _exam(exam: Iterable[Dialogue]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for dialogue in exam:
        counts[dialogue.domain] = counts.get(dialogue.domain, 0) + 1
    return counts


def _data(evidence: Evidence, domain: str) -> dict[str, Any]:
    ingested, validated = evidence.ingested.get(domain, {}), evidence.validated.get(domain, {})
    encoded = evidence.encoded.get(domain, {})
    return {
        "domain": domain,
        "source": ingested.get("source"),
        "licence": ingested.get("licence"),
        "dialogues": ingested.get("dialogues", {}),
        "num_duplicates": ingested.get("num_duplicates"),
        "num_faults": ingested.get("num_faults"),
        "num_set_aside": validated.get("num_set_aside"),
        "warnings": [
            {"expected": check.get("description", ""), "observed": check.get("observed", "")}
            for check in validated.get("warnings", [])
        ],
        "num_tokens": encoded.get("train_tokens"),
        "num_supervised_tokens": encoded.get("train_supervised_tokens"),
        "files": [
            {"name": file["name"], "sha256": file["sha256"]} for file in ingested.get("files", [])
        ],
    }


def _cost(evidence: Evidence) -> dict[str, Any]:
    curves = {curve["name"]: curve for curve in evidence.curves}
    reports = {BASE: evidence.pretraining, **evidence.trained}
    speed = evidence.evaluation.get("speed", {})
    training = [
        {
            "model": name,
            **{key: curves.get(name, {}).get(key) for key in ("seconds", "num_steps")},
            **{
                key: report.get(key)
                for key in (
                    "num_dialogues",
                    "num_rehearsed",
                    "num_tokens",
                    "trainable_share",
                    "memory_dialogues",
                    "memory_bytes",
                    "machine",
                )
            },
        }
        for name in (BASE, *evidence.lessons)
        if (report := reports.get(name))
    ]
    return {
        "training": training,
        "evaluation_seconds": speed.get("seconds"),
        "evaluation_tokens_per_second": speed.get("tokens_per_second"),
    }


def _lineage(evidence: Evidence) -> dict[str, Any]:
    """Digests and whatever else the verdict says of itself in a single value."""
    verdict = evidence.verdict
    models = evidence.evaluation.get("models", {})
    lineage = {
        "candidate": verdict["candidate"]["digest"],
        "parent": verdict["candidate"]["parent"],
        "champion": verdict["champion"],
        "base": models.get(BASE),
        "commit": evidence.commit,
    }
    more = {
        name: value
        for name, value in verdict.items()
        if name not in _SAID and isinstance(value, str | int | float)
    }
    return lineage | more


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
