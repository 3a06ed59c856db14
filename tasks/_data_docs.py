"""The page of a domain's validation: the rules' outcome, and what stands behind each figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from dialogue.config import RuleName, Validate
from dialogue.records import Reject
from tasks._data_docs_template import PAGE, STYLE
from tasks.expectations import Check, Outcome, shown, worded

NUM_SHOWN = 40
"""How many rows of a table stand on the page; the files hold all of them."""

_NUM_OPEN = 10
_NUM_BARS = 12


@dataclass(frozen=True, slots=True)
class Place:
    """A dialogue on the page: where it stands, and how it begins."""

    origin: str
    domain: str
    split: str
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two dialogues that are nearly the same, and what became of it."""

    similarity: float
    first: Place
    second: Place
    consequence: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A distribution, and the same of the committed version where there is one; shares of 1."""

    title: str
    labels: Sequence[str]
    now: Sequence[float]
    then: Sequence[float] | None
    as_bars: bool = False
    """Named bars below one another instead of columns along an axis."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the domain is from its committed version."""

    note: str
    figures: Mapping[RuleName, float] = field(default_factory=dict)
    plots: Sequence[Plot] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """What the domain holds, by name: counts, and a sentence on them."""

    title: str
    counts: Mapping[str, int]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the page shows of one domain."""

    domain: str
    settings: Validate
    outcome: Outcome
    counts: Mapping[str, int]
    """What the tiles say, by their names."""
    figures: Mapping[RuleName, float]
    inapplicable: Mapping[RuleName, str]
    """Why a rule has nothing to measure here."""
    reasons: Mapping[str, int]
    """Set-aside rows by reason, all of them."""
    set_aside: Sequence[Reject]
    """The first of them."""
    num_pairs: int
    num_templates: int
    """Pairs of brief dialogues that are no near-duplicates, as so many are alike."""
    pairs: Sequence[Pair]
    num_leaks: int
    leaks: Sequence[Pair]
    earlier: str
    """What the leaks were looked for in, in words."""
    drift: Drift
    contents: Sequence[Content]


def page(findings: Findings) -> str:
    """The whole page as HTML: every value escaped but for Great Expectations' own sections."""
    environment = Environment(autoescape=True, trim_blocks=True)
    return environment.from_string(PAGE).render(
        style=STYLE,
        num_open=_NUM_OPEN,
        domain=findings.domain,
        verdict=_verdict(findings.outcome),
        tiles=[{"name": name, "value": f"{n:,}"} for name, n in findings.counts.items()],
        rules=[*_rules(findings)],
        broken=[check for check in findings.outcome.failures if check.rule is None],
        set_aside=_set_aside(findings),
        near=_pairs(findings.pairs, findings.num_pairs, _near_note(findings)),
        leaks=_pairs(findings.leaks, findings.num_leaks, _leak_note(findings)),
        drift=_drift(findings.drift),
        contents=[_content(content) for content in findings.contents],
        suites={name: Markup(body) for name, body in findings.outcome.suites.items()},  # noqa: S704
    )


def _verdict(outcome: Outcome) -> dict[str, str]:
    num, failures, warnings = len(outcome.checks), len(outcome.failures), len(outcome.warnings)
    warned = f"; {warnings} {'warns' if warnings == 1 else 'warn'}" if warnings else ""
    if failures:
        fail = "expectation fails" if failures == 1 else "expectations fail"
        words = f"✗ {failures} of {num} {fail}, and the chain stops here{warned}"
        return {"tone": "bad", "words": words}
    words = f"all {num} expectations are met" if not warnings else f"{num - warnings} of {num} met"
    return {"tone": "warn" if warnings else "good", "words": f"✓ {words}{warned}"}


def _rules(findings: Findings) -> list[dict[str, str]]:
    checks = {check.rule: check for check in findings.outcome.checks if check.rule}
    rows = []
    for name, rule in findings.settings.rules_for(findings.domain).items():
        outcome, tone = _outcome(checks.get(name))
        path = findings.settings.path_of(findings.domain, name)
        overridden = f"{path}: {rule.reason or 'set for this domain'}"
        why = findings.inapplicable.get(name) or (
            overridden if path.startswith("validate.domains") else ""
        )
        found = shown(name, findings.figures[name]) if name in findings.figures else "–"
        rows.append(
            {
                "name": name,
                "asks": worded(name, rule),
                "why": why,
                "found": found,
                "action": rule.action,
                "outcome": outcome,
                "tone": tone,
            }
        )
    return rows


def _outcome(check: Check | None) -> tuple[str, str]:
    if check is None:
        return "– not asked", "quiet"
    if check.is_met:
        return "✓ met", "good"
    return ("✗ stops", "bad") if check.action == "stop" else ("! warns", "warn")


def _set_aside(findings: Findings) -> dict[str, Any]:
    num = sum(findings.reasons.values())
    shown_rows = findings.set_aside[:NUM_SHOWN]
    of = "" if num == len(shown_rows) else f" the first {len(shown_rows)} of {num:,};"
    return {
        "rows": shown_rows,
        "reasons": _bars(findings.reasons),
        "note": f"Shown:{of or ' all of them;'} every one stands in the domain's rejects.parquet. "
        "Excerpts are shown as they were stored, with personal data replaced.",
    }


def _near_note(findings: Findings) -> str:
    alike = (
        f"alike by {findings.settings.similarity:g} or more (Jaccard index of their words and "
        "pairs of adjacent words; short ones need more)"
    )
    templates = (
        f" {findings.num_templates:,} pairs of brief dialogues differ in two words and are no "
        "near-duplicates here: so many are alike that templates must have made them."
        if findings.num_templates
        else ""
    )
    if not findings.num_pairs:
        return f"No two dialogues are {alike}.{templates}"
    return (
        f"{findings.num_pairs:,} pairs are {alike}. Where a pair straddles two splits, the "
        f"dialogue on the training side is set aside.{templates}"
    )


def _leak_note(findings: Findings) -> str:
    num = findings.num_leaks
    if not num:
        return f"No dialogue that is held out was found anywhere else. {findings.earlier}"
    leak = "dialogue is" if num == 1 else "dialogues are"
    return (
        f"{num:,} {leak} held out in one domain and found again in another, or in plain text. "
        f"{findings.earlier}"
    )


def _pairs(pairs: Sequence[Pair], num: int, note: str) -> dict[str, Any]:
    rows = [
        {
            "similarity": f"{pair.similarity:.2f}",
            "first": pair.first,
            "second": pair.second,
            "consequence": pair.consequence,
        }
        for pair in pairs[:NUM_SHOWN]
    ]
    more = f" Shown: the {len(rows)} that matter most." if num > len(rows) else ""
    return {"rows": rows, "note": note + more}


_MEASURES: dict[RuleName, tuple[str, str]] = {
    "length_drift": (
        "lengths",
        "Kolmogorov–Smirnov distance of words per turn or of turns per dialogue, the larger one",
    ),
    "vocabulary_drift": ("vocabulary", "Jensen–Shannon distance of the shares of frequent words"),
    "embedding_drift": ("meaning", "cosine distance of the mean embeddings"),
}


def _drift(drift: Drift) -> dict[str, Any]:
    figures = [
        {"name": _MEASURES[name][0], "value": shown(name, value), "measure": _MEASURES[name][1]}
        for name, value in drift.figures.items()
    ]
    return {
        "note": drift.note,
        "figures": figures,
        "plots": [_plot(plot) for plot in drift.plots],
    }


def _plot(plot: Plot) -> dict[str, Any]:
    then = plot.then or [0.0] * len(plot.now)
    top = max([*plot.now, *then], default=0.0) or 1.0
    scaled = [(100 * now / top, 100 * was / top) for now, was in zip(plot.now, then, strict=True)]
    if plot.as_bars:
        rows = [
            {
                "name": label,
                "width": f"{now:.1f}",
                "then": None if plot.then is None else f"{was:.1f}",
                "count": f"{100 * share:.2f}%",
            }
            for label, (now, was), share in zip(plot.labels, scaled, plot.now, strict=True)
        ]
        return {"title": plot.title, "rows": rows}
    heights = [(f"{now:.1f}", f"{was:.1f}") for now, was in scaled]
    return {
        "title": plot.title,
        "labels": plot.labels,
        "heights": heights,
        "has_then": plot.then is not None,
    }


def _content(content: Content) -> dict[str, Any]:
    return {"title": content.title, "rows": _bars(content.counts), "note": content.note}


def _bars(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """The largest counts as bars, the rest as one."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown_counts = ranked[:_NUM_BARS]
    if rest := ranked[_NUM_BARS:]:
        shown_counts.append((f"{len(rest)} more", sum(count for _, count in rest)))
    top = max((count for _, count in shown_counts), default=0) or 1
    return [
        {"name": name, "width": f"{100 * count / top:.1f}", "then": None, "count": f"{count:,}"}
        for name, count in shown_counts
    ]
