"""The kinds of gate rules: each turns one rule on one domain into a finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dialogue.config import Gate, Rule
from dialogue.metrics import METRICS, Floats, Metric
from dialogue.scores import Key, ModelRole, Sample
from dialogue.statistics import Bootstrap, bootstrap, dialogues_needed, interval, p_value
from dialogue.verdict import Finding, State, amount


@dataclass(frozen=True, slots=True)
class Evidence:
    """What every rule looks at: the scores, how sure to be, and whom to compare with."""

    samples: Mapping[Key, Sample]
    gate: Gate
    champion: str | None

    @property
    def domains(self) -> tuple[str, ...]:
        """The candidate's exam, domain by domain, in the order it was taken."""
        return tuple(dict.fromkeys(key.domain for key in self.samples if key.role == "candidate"))

    def num_dialogues(self, domain: str) -> int:
        """How many dialogues of a domain the candidate was examined on."""
        ids = [
            sample.ids
            for key, sample in self.samples.items()
            if key.role == "candidate" and key.domain == domain
        ]
        return len(np.unique(np.concatenate(ids))) if ids else 0

    def sample(self, role: ModelRole, domain: str, metric: str) -> Sample | None:
        """One metric of the candidate or the champion, if it was measured."""
        for key, sample in self.samples.items():
            if (key.role, key.domain, key.metric) == (role, domain, metric):
                return sample
        return None

    def unlike(self, domain: str, metric: Metric) -> str | None:
        """Why the metric of candidate and champion is not of the same, where it is not."""
        if self._weighs_otherwise(domain, "bits_per_byte"):
            return (
                "candidate and champion read other parts of the dialogues, for their tokenizers "
                "differ: raise evaluate.max_tokens until both read all, or promote by hand"
            )
        if metric.unit.endswith("token") and self._weighs_otherwise(domain, "response_perplexity"):
            return (
                f"{metric.name} is per token, and the tokenizers of candidate and champion "
                "differ: leave the rule out, or promote by hand"
            )
        return None

    def _weighs_otherwise(self, domain: str, metric: str) -> bool:
        """Whether the bytes, or tokens, of the same dialogues are not as many."""
        ours, theirs = (self.sample(role, domain, metric) for role in ("candidate", "champion"))
        if ours is None or theirs is None:
            return False
        return not np.array_equal(ours.weight, theirs.weight)


def bound(rule: Rule, domain: str, evidence: Evidence) -> Finding:
    """The metric on its own against `min` or `max`, of which the rule has one."""
    metric = METRICS[rule.metric]
    finding = _blank(rule, domain)
    sample = evidence.sample("candidate", domain, rule.metric)
    whole = None if sample is None else _bootstrap(sample, metric, evidence.gate)
    if sample is None or whole is None or not np.isfinite(whole.estimate):
        return _missing(finding, "candidate", evidence)
    sign, limit = (1, rule.min) if rule.min is not None else (-1, rule.max)
    assert limit is not None
    held = sign * whole.estimate >= sign * limit
    has = f"{domain} has {rule.metric} {whole.estimate:.4g}"
    finding = replace(
        finding,
        count=sample.count,
        of=metric.of,
        value=whole.estimate,
        interval=interval(whole, 1 - evidence.gate.alpha),
        bound=limit,
        state="passed" if held else "failed",
        reason=f"{has}; {finding.asks} {limit:g} is asked",
    )
    if metric.evidence == "estimate":
        return _enough(finding, evidence)
    turned = whole if sign > 0 else _bootstrap(sample, metric, evidence.gate, sign=-1)
    return _tested(finding, turned, sign * limit, evidence)


def superiority(rule: Rule, domain: str, evidence: Evidence) -> Finding:
    """Better than the champion, by more than chance explains."""
    finding, change = _comparison(rule, domain, evidence, threshold=0.0)
    if change is None:
        return finding
    state: State = "passed" if change.estimate > 0 else "failed"
    return _tested(replace(finding, state=state), change, 0.0, evidence)


def non_inferiority(rule: Rule, domain: str, evidence: Evidence) -> Finding:
    """Not worse than the champion by the margin or more."""
    assert rule.margin is not None
    finding, change = _comparison(rule, domain, evidence, threshold=-rule.margin)
    if change is None:
        return finding
    state: State = "passed" if change.estimate > -rule.margin else "failed"
    reason = f"{finding.reason}; at most {rule.margin:.1%} worse is allowed"
    finding = replace(finding, state=state, reason=reason if state == "failed" else finding.reason)
    return _tested(finding, change, -rule.margin, evidence)


def suspicion(rule: Rule, domain: str, evidence: Evidence) -> Finding:
    """An improvement too good to be true: an alarm, so the estimate alone sets it off."""
    assert rule.margin is not None
    finding, change = _comparison(rule, domain, evidence, threshold=rule.margin)
    if change is None:
        return finding
    if change.estimate <= rule.margin:
        return _enough(replace(finding, state="passed"), evidence)
    reason = f"{finding.reason}, which is too good to be true: look for a leak of the exam"
    return replace(finding, state="failed", reason=reason)


KINDS: dict[str, Callable[[Rule, str, Evidence], Finding]] = {
    "bound": bound,
    "superiority": superiority,
    "non_inferiority": non_inferiority,
    "suspicion": suspicion,
}


def _comparison(
    rule: Rule, domain: str, evidence: Evidence, threshold: float
) -> tuple[Finding, Bootstrap | None]:
    """Candidate beside champion; None in place of the change where they cannot be compared."""
    metric = METRICS[rule.metric]
    finding = _blank(rule, domain)
    if evidence.champion is None:
        reason = f"{domain}: there is no champion to compare {rule.metric} with"
        return replace(finding, state="not counted", reason=reason), None
    ours = evidence.sample("candidate", domain, rule.metric)
    theirs = evidence.sample("champion", domain, rule.metric)
    if ours is None or theirs is None:
        return _missing(finding, "candidate" if ours is None else "champion", evidence), None
    if not np.array_equal(ours.ids, theirs.ids):
        reason = f"{domain}: {rule.metric} of candidate and champion is of different dialogues"
        return replace(finding, reason=reason), None
    if (why := evidence.unlike(domain, metric)) is not None:
        return replace(finding, reason=f"{domain}: {why}"), None
    value = _bootstrap(ours, metric, evidence.gate)
    reference = _bootstrap(theirs, metric, evidence.gate).estimate
    if not (np.isfinite(value.estimate) and np.isfinite(reference)):
        role = "champion" if np.isfinite(value.estimate) else "candidate"
        return _missing(finding, role, evidence), None
    change = _bootstrap_change(ours, theirs, metric, evidence.gate)
    finding = replace(
        finding,
        count=min(ours.count, theirs.count),
        of=metric.of,
        value=value.estimate,
        interval=interval(value, 1 - evidence.gate.alpha),
        champion_value=reference,
        bound=reference + metric.sign * threshold * abs(reference),
        change=change.estimate,
        change_interval=interval(change, 1 - 2 * evidence.gate.alpha),
        reason=(
            f"{domain} is {amount(change.estimate)} than the champion in {rule.metric} "
            f"({value.estimate:.4g} against {reference:.4g})"
        ),
    )
    return finding, change


def _bootstrap(sample: Sample, metric: Metric, gate: Gate, sign: int = 1) -> Bootstrap:
    """The metric of one model, or its negative."""
    clusters = np.stack([sample.value, sample.weight], axis=1)
    return bootstrap(
        clusters,
        lambda totals: sign * metric(totals[..., 0], totals[..., 1]),
        gate.resamples,
        gate.seed,
    )


def _bootstrap_change(ours: Sample, theirs: Sample, metric: Metric, gate: Gate) -> Bootstrap:
    """The relative improvement over the champion, dialogue paired with dialogue."""
    clusters = np.stack([ours.value, ours.weight, theirs.value, theirs.weight], axis=1)
    return bootstrap(
        clusters,
        lambda totals: _improvement(
            metric(totals[..., 0], totals[..., 1]), metric(totals[..., 2], totals[..., 3]), metric
        ),
        gate.resamples,
        gate.seed,
    )


def _improvement(ours: Floats, theirs: Floats, metric: Metric) -> Floats:
    """Relative to the champion, positive for better. Against 0 any difference is infinite."""
    difference = metric.sign * (ours - theirs)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference / np.abs(theirs))


def _tested(finding: Finding, sample: Bootstrap, threshold: float, evidence: Evidence) -> Finding:
    """The finding with its one-sided test; whether p is small enough is decided with the others."""
    needed = dialogues_needed(sample, threshold, evidence.gate.alpha)
    finding = replace(
        finding,
        p_value=p_value(sample, threshold),
        # Where so many as there are do not decide, it takes more, whatever the approximation says.
        needed=None if needed is None else max(needed, sample.num_clusters + 1),
    )
    return _enough(finding, evidence)


def _enough(finding: Finding, evidence: Evidence) -> Finding:
    """Too few dialogues decide nothing, whatever their numbers say."""
    least = evidence.gate.min_dialogues
    if finding.count >= least:
        return finding
    have = f"{finding.slice} has {finding.count} of the {least} {finding.of}"
    reason = f"{have} that {finding.metric} needs"
    return replace(finding, state="undecided", reason=reason, p_value=None)


def _blank(rule: Rule, domain: str) -> Finding:
    asks: dict[bool, Literal["at least", "at most"]] = {True: "at least", False: "at most"}
    return Finding(
        rule.name,
        rule.metric,
        domain,
        rule.kind,
        state="failed",
        reason="",
        asks=asks[rule.min is not None] if rule.kind == "bound" else None,
        margin=rule.margin,
    )


def _missing(finding: Finding, role: str, evidence: Evidence) -> Finding:
    """What is missing fails; of an exam too small to decide anything, some metrics must be."""
    reason = f"{finding.slice}: the {role} has no {finding.metric}, and what is missing fails"
    count = evidence.num_dialogues(finding.slice)
    failed = replace(finding, reason=reason, count=count)
    return _enough(failed, evidence) if count else failed
