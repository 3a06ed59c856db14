"""What the gates answer: a finding per rule and slice, and the verdict with its one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dialogue.metrics import Of

Decision = Literal["PROMOTE", "REJECT", "INCONCLUSIVE"]
State = Literal["passed", "failed", "undecided", "not counted"]

_KEEPS = "non_inferiority"
"""The kind of the rules that guard what was learned before."""

_MOST_NAMED = 4
"""Domains that a rejection names beside the first; the table has all."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The model that is judged: the domain it learned last, its digest and its parent's."""

    domain: str
    digest: str
    parent: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule on one domain: the number, what it was held against, and what came of it.

    Attributes:
        slice: the domain.
        asks: which side of `bound` a rule of the kind `bound` asks for.
        margin: the rule's, relative to the champion's value.
        count: so many `of` are what `value` rests on.
        of: dialogues, or replies or conversations that the model wrote (`Metric.of`).
        value: the candidate's metric, with its two-sided `interval` of confidence 1 - α.
        champion_value: the champion's metric.
        bound: what `value` must not pass; for a comparison, taken from the champion's value.
        change: relative improvement over the champion (0.02: two per cent better), with an
            interval of confidence 1 - 2α, which agrees with the one-sided test at α.
        p_value: of the one-sided test, before Holm; None for rules that test nothing.
        state: `undecided` where the evidence is too thin to pass, yet not against the candidate.
        needed: about so many `of` would decide it and all else that is undecided, as far as the
            power check can say.
        reason: one clause for people.
    """

    rule: str
    metric: str
    slice: str
    kind: str
    state: State
    reason: str
    asks: Literal["at least", "at most"] | None = None
    margin: float | None = None
    count: int = 0
    of: Of = "dialogues"
    value: float | None = None
    interval: tuple[float, float] | None = None
    champion_value: float | None = None
    bound: float | None = None
    change: float | None = None
    change_interval: tuple[float, float] | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    needed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values; what is not finite becomes null."""
        passed = None if self.state == "not counted" else self.state == "passed"
        return {name: _plain(value) for name, value in asdict(self).items()} | {"passed": passed}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, the sentence that says it, and the evidence it rests on.

    Attributes:
        champion: digest of the model the candidate was compared with; None: there was none.
        exam_digest: of the dialogues both were scored on.
        evidence_digest: SHA-256 of the scores.
        look: which look at the candidate decided, of the `looks` that were foreseen.
        alpha: what each look may err by: the gate's α over the looks.
        metrics: the candidate's, domain → metric → value.
    """

    verdict: Decision
    sentence: str
    candidate: Candidate
    champion: str | None
    exam_digest: str
    evidence_digest: str
    look: int
    looks: int
    alpha: float
    rules: tuple[Finding, ...]
    metrics: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """As plain values, for verdict.json."""
        return asdict(self) | {"rules": [finding.to_json() for finding in self.rules]}

    def to_markdown(self) -> str:
        """The sentence and a table of the rules."""
        lines = [
            f"**{self.sentence}**",
            "",
            f"Candidate {self.candidate.domain} `{self.candidate.digest[:12]}`, "
            + (f"champion `{self.champion[:12]}`. " if self.champion else "no champion yet. ")
            + f"Look {self.look} of at most {self.looks}, at α = {self.alpha:g}.",
            "",
            "| rule | domain | metric | value | interval | bound | champion | p (Holm) | result |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        return "\n".join([*lines, *map(_table_row, self.rules)]) + "\n"


def decide(
    findings: Sequence[Finding], candidate: Candidate, champion: str | None
) -> tuple[Decision, str]:
    """One decision from all findings: what failed outweighs what is undecided.

    A promotion needs at least one rule that counts. A rejection names what was forgotten, most of
    it first; other failures follow in the rules' order.
    """
    failed = [finding for finding in findings if finding.state == "failed"]
    failed.sort(key=lambda finding: _loss(finding) if finding.kind == _KEEPS else 0.0)
    undecided = [finding for finding in findings if finding.state == "undecided"]
    passed = [finding for finding in findings if finding.state == "passed"]
    if failed:
        return "REJECT", f"REJECT: {_refusal(failed)}."
    if undecided:
        return "INCONCLUSIVE", f"INCONCLUSIVE: {_reasons(undecided)}{_enough(undecided)}."
    if not passed:
        return "INCONCLUSIVE", "INCONCLUSIVE: no rule counted, for there is no champion yet."
    if champion is None:
        count = "its one absolute rule" if len(passed) == 1 else f"all {len(passed)} absolute rules"
        return "PROMOTE", (
            f"PROMOTE: {candidate.domain} passes {count}; there is no champion yet, so only "
            "absolute rules counted."
        )
    return "PROMOTE", f"PROMOTE: {_praise(passed, candidate, champion)}."


def _loss(finding: Finding) -> float:
    """The change to the worse, below 0; a rule that could not compare has none."""
    return min(0.0, finding.change or 0.0)


def _refusal(failed: Sequence[Finding]) -> str:
    """The first reason, and what else was forgotten by the same measure."""
    first, *others = failed
    named = [
        finding
        for finding in others
        if finding.kind == first.kind == _KEEPS
        and finding.metric == first.metric
        and _loss(finding) < 0.0
    ][:_MOST_NAMED]
    also = [f"{finding.slice} is {amount(_loss(finding))}" for finding in named]
    return "; ".join([first.reason, *also]) + _more(len(others) - len(named))


def _enough(undecided: Sequence[Finding]) -> str:
    """How much would decide it: of dialogues and, where they are too few, of what is written."""
    needed: dict[str, int] = {}
    for finding in undecided:
        needed[finding.of] = max(needed.get(finding.of, 0), finding.needed or 0)
    told = [f"{number:,} {of}" for of, number in needed.items() if number]
    return f"; about {' and '.join(told)} would decide it" if told else ""


def amount(change: float) -> str:
    """A relative change in words; one against 0 is infinite, and has no number."""
    if change == 0:
        return "no better and no worse"
    word = "better" if change > 0 else "worse"
    return f"{abs(change):.1%} {word}" if math.isfinite(change) else word


def _reasons(findings: Sequence[Finding]) -> str:
    return findings[0].reason + _more(len(findings) - 1)


def _more(rest: int) -> str:
    return f" (and {rest} more rule{'s' if rest > 1 else ''}: see the table)" if rest else ""


def _praise(passed: Sequence[Finding], candidate: Candidate, champion: str) -> str:
    gains = [finding for finding in passed if finding.kind == "superiority"]
    kept = [finding for finding in passed if finding.kind == _KEEPS and finding.change is not None]
    parts = [finding.reason for finding in gains] or [
        f"{candidate.domain} passes all {len(passed)} rules against champion {champion[:12]}"
    ]
    if kept:
        worst = min(kept, key=lambda finding: finding.change or 0.0)
        parts.append(f"of the domains to keep, {worst.reason}")
    return "; ".join(parts)


def _table_row(finding: Finding) -> str:
    cells = [
        finding.rule,
        finding.slice,
        finding.metric,
        _number(finding.value),
        "–" if finding.interval is None else " … ".join(map(_number, finding.interval)),
        _number(finding.bound),
        _number(finding.champion_value),
        _number(finding.adjusted_p_value),
        f"{finding.state}: {finding.reason}",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.4g}"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple):
        return None if any(_plain(part) is None for part in value) else list(value)
    return value
