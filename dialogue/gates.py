"""The gates: a pure function from scores and rules to a verdict. Grammar: docs/gates.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dialogue.config import Gate, Rule
from dialogue.exam import GENERAL
from dialogue.metrics import METRICS
from dialogue.rules import KINDS, Evidence
from dialogue.scores import Score, collect, values_of
from dialogue.statistics import holm, needed_together, resamples_needed
from dialogue.verdict import Candidate, Finding, Verdict, decide

_FINENESS = 3
"""Resamples over the fewest with which Holm's strictest test could be passed at all."""

_MOST_RESAMPLES = 60_000


def judge(
    scores: Sequence[Score],
    gate: Gate,
    candidate: Candidate,
    champion: str | None,
    *,
    exam_digest: str,
    evidence_digest: str,
    look: int = 1,
    looks: int = 1,
) -> Verdict:
    """Hold the candidate's scores against every rule.

    Of several looks at growing scores each has its equal part of α (Bonferroni), so that together
    they promote by luck no more often than one would.

    Args:
        scores: of the candidate and, where there is one, the champion, on the same dialogues.
        gate: the rules, and how sure the verdict must be.
        candidate: who is judged.
        champion: digest of the reigning model; None: rules that compare do not count.
        exam_digest: of the dialogues; passed on.
        evidence_digest: SHA-256 of the scores; passed on.
        look: which look at this candidate this is, from 1.
        looks: how many there may be; to be settled before the first.

    Raises:
        ValueError: no rules, an unknown metric or slice, or scores of other models than named.
    """
    _check_models(scores, candidate, champion)
    evidence = Evidence(collect(scores), gate, champion)
    _check_rules(gate.rules, evidence.domains)
    asked = [
        (rule, domain)
        for whole in gate.rules
        for rule in _one_sided(whole)
        for domain in _domains(rule, candidate.domain, evidence.domains)
    ]
    alpha = gate.alpha / looks
    resamples = _resamples(gate, evidence, alpha / max(1, len(asked)))
    evidence = replace(
        evidence, gate=gate.model_copy(update={"alpha": alpha, "resamples": resamples})
    )
    findings = _with_needs(
        _corrected([KINDS[rule.kind](rule, domain, evidence) for rule, domain in asked], alpha),
        evidence.gate,
    )
    verdict, sentence = decide(findings, candidate, champion)
    return Verdict(
        verdict=verdict,
        sentence=sentence,
        candidate=candidate,
        champion=champion,
        exam_digest=exam_digest,
        evidence_digest=evidence_digest,
        look=look,
        looks=looks,
        alpha=alpha,
        rules=tuple(findings),
        metrics=values_of(evidence.samples, "candidate"),
    )


def _resamples(gate: Gate, evidence: Evidence, strictest: float) -> int:
    """So many that no rule on a domain with enough dialogues fails for want of them."""
    counts = [evidence.num_dialogues(domain) for domain in evidence.domains]
    fewest = min((count for count in counts if count >= gate.min_dialogues), default=0)
    if fewest < 2:
        return gate.resamples
    wanted = _FINENESS * resamples_needed(strictest, fewest)
    return max(gate.resamples, min(wanted, _MOST_RESAMPLES))


def _check_models(scores: Sequence[Score], candidate: Candidate, champion: str | None) -> None:
    expected: dict[str, str | None] = {"candidate": candidate.digest, "champion": champion}
    for role, digest in expected.items():
        found = {score.model_digest for score in scores if score.model_role == role}
        if found - {digest}:
            raise ValueError(
                f"the scores' {role} is {', '.join(sorted(found))}, not {digest or 'absent'}; "
                "run evaluate again"
            )


def _check_rules(rules: Sequence[Rule], domains: Sequence[str]) -> None:
    if not rules:
        raise ValueError("gate.rules: no rules; a verdict needs at least one")
    for rule in rules:
        if rule.metric not in METRICS:
            raise ValueError(
                f"gate.rules: `{rule.name}` names the unknown metric `{rule.metric}`; "
                f"known are {', '.join(METRICS)}"
            )
        if rule.slice not in ("each", "target", "earlier", *domains):
            raise ValueError(
                f"gate.rules: `{rule.name}` names the unknown slice `{rule.slice}`; "
                f"use each, target, earlier or one of {', '.join(domains)}"
            )


def _one_sided(rule: Rule) -> tuple[Rule, ...]:
    """A rule with both `min` and `max` is two rules."""
    if rule.min is None or rule.max is None:
        return (rule,)
    return rule.model_copy(update={"max": None}), rule.model_copy(update={"min": None})


def _domains(rule: Rule, target: str, examined: Sequence[str]) -> tuple[str, ...]:
    """The domains a rule speaks of. General ability counts as earlier where it has the metric.

    The target is judged even where nothing of it was scored: what is missing must fail.
    """
    others = [domain for domain in examined if domain != target]
    if rule.slice == "target":
        return (target,)
    if rule.slice == "each":
        return (*[domain for domain in others if domain not in GENERAL], target)
    if rule.slice == "earlier":
        defined = METRICS[rule.metric].plain_text
        return tuple(domain for domain in others if domain not in GENERAL or defined)
    return (rule.slice,)


def _corrected(findings: Sequence[Finding], alpha: float) -> list[Finding]:
    """Holm over every rule that tests; one that only its estimate speaks for stays undecided."""
    p_values = {
        index: finding.p_value
        for index, finding in enumerate(findings)
        if finding.p_value is not None
    }
    corrected = list(findings)
    for index, adjusted in zip(p_values, holm(list(p_values.values())), strict=True):
        finding = replace(findings[index], adjusted_p_value=adjusted)
        if finding.state == "passed" and adjusted > alpha:
            reason = f"{finding.reason}, which chance may explain (p = {adjusted:.2g})"
            finding = replace(finding, state="undecided", reason=reason)
        corrected[index] = finding
    return corrected


def _with_needs(findings: Sequence[Finding], gate: Gate) -> list[Finding]:
    """What would decide all that is undecided: by the power check, and never under the fewest."""
    undecided = [finding for finding in findings if finding.state == "undecided"]
    number = sum(finding.needed is not None for finding in undecided)

    def needed(finding: Finding) -> int | None:
        if finding.state != "undecided":
            return None
        counts = [gate.min_dialogues] if finding.count < gate.min_dialogues else []
        if finding.needed is not None:
            counts.append(needed_together(finding.needed, number, gate.alpha))
        return max(counts, default=None)

    return [replace(finding, needed=needed(finding)) for finding in findings]
