"""The card as one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from dialogue.card.forest import (
    ChangeScale,
    absolute_strip,
    is_number,
    threshold,
)
from dialogue.exam import GENERAL
from dialogue.metrics import METRICS

_FOLDER = Path(__file__).parent
_DECISIONS = {"PROMOTE": ("✓", "passed"), "REJECT": ("✗", "failed")}
_MARKS = {"passed": "✓", "failed": "✗", "undecided": "?", "not counted": "–"}
_ABSENT = "–"
_DASH = 4.0
"""How long a line of one point is, of a curve's width of 100."""
_NUM_DECISIVE = 6
"""Findings that are named under the sentence where several decided."""

_STRONGEST = 70.0
"""Per cent of colour in the deepest cell of the heat map: its number stays readable."""


def render_page(content: Mapping[str, Any]) -> str:
    """The page of `card_content`. Dialogues are other people's text: everything is escaped."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(_FOLDER),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "observed": observed,
        "percent": percent,
        "signed": signed,
        "change": change,
        "count": count,
        "duration": duration,
        "size": size,
        "words": words,
        "breakable": breakable,
    }
    symbol, tone = _DECISIONS.get(content["verdict"], ("?", "undecided"))
    scale = ChangeScale(
        finding
        for rule in content["rules"]
        if rule["kind"] != "bound"
        for finding in rule["findings"]
    )
    rules = [_rule(rule, scale) for rule in content["rules"]]
    seen: set[str] = set()
    for rule in rules:
        rule["explained"] = bool(rule["definition"]) and rule["metric"] not in seen
        seen.add(rule["metric"])
    findings = [finding for rule in rules for finding in rule["findings"]]
    decisive = [f for f in findings if f["state"] == "failed"] or [
        f for f in findings if f["state"] == "undecided"
    ]
    return environment.get_template("page.html").render(
        card=content,
        symbol=symbol,
        tone=tone,
        sentence=content["sentence"].removeprefix(f"{content['verdict']}: "),
        marks=_MARKS,
        decisive=decisive,
        num_decisive=_NUM_DECISIVE,
        comparing=[rule for rule in rules if rule["kind"] != "bound"],
        absolute=[rule for rule in rules if rule["kind"] == "bound"],
        ticks=scale.ticks(),
        heat=_heat(content["lifelong"]),
        curves=[_curve(curve) for curve in content["curves"]],
        samples=_by_domain(content["samples"]),
        seconds=_sum([entry["seconds"] for entry in content["cost"]["training"]]),
        has_champion=content["champion"] is not None,
        machines=_machines(content["cost"]["training"]),
    )


def number(value: object) -> str:
    """Four digits, or a dash."""
    return f"{value:.4g}".replace("-", "−") if is_number(value) else _ABSENT


def observed(text: str) -> str:
    """What a check found: a number by its four digits, or the words as they are."""
    try:
        return number(float(text))
    except ValueError:
        return text


def signed(value: object) -> str:
    """Three digits, with the sign that a difference has."""
    return f"{value:+.3g}".replace("-", "−") if is_number(value) else _ABSENT


def percent(value: object) -> str:
    """0.02 as 2 %."""
    return f"{100 * value:.3g} %" if is_number(value) else _ABSENT


def change(value: object) -> str:
    """0.02 as +2.0 %: with its sign, and as many digits as a forest plot can show."""
    if not is_number(value):
        return _ABSENT
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 1 else 1
    return f"{100 * value:+.{digits}f} %".replace("-", "−")


def count(value: object) -> str:
    """With thousands set apart."""
    return f"{value:,.0f}" if is_number(value) else _ABSENT


def duration(seconds: object) -> str:
    """In seconds, minutes or hours."""
    if not is_number(seconds):
        return _ABSENT
    for limit, unit, name in ((100, 1, "s"), (6000, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 3600:.1f} h"


def size(num_bytes: object) -> str:
    """In kB or MB."""
    if not is_number(num_bytes):
        return _ABSENT
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.0f} kB"


def words(name: str) -> str:
    """A metric's name as people say it."""
    return name.replace("_", " ")


def breakable(name: str) -> Markup:
    """A name that may be broken behind every underscore."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _rule(rule: Mapping[str, Any], scale: ChangeScale) -> dict[str, Any]:
    findings = []
    for finding in rule["findings"]:
        compares = finding["kind"] != "bound"
        strip = scale.strip(finding) if compares else absolute_strip(finding)
        findings.append(
            dict(finding)
            | {
                "strip": strip,
                "drawn": strip.value is not None,
                "threshold": threshold(finding) if compares else None,
                "mark": _MARKS[finding["state"]],
                "tone": finding["state"].replace(" ", "-"),
            }
        )
    return dict(rule) | {"findings": findings, "asks": _asks(rule)}


def _asks(rule: Mapping[str, Any]) -> str:
    """What the rule demands, in words."""
    findings: Sequence[Mapping[str, Any]] = rule["findings"]
    if rule["kind"] == "superiority":
        return "better than the champion, by more than chance explains"
    if rule["kind"] == "bound":
        bounds = {
            f"{finding['asks']} {number(finding['bound'])}": None
            for finding in findings
            if is_number(finding["bound"])
        }
        return " and ".join(bounds) or "a bound, but nothing was measured"
    margin = percent(rule["margin"])
    if rule["kind"] == "suspicion":
        return f"not better than the champion by more than {margin}, or there may be a leak"
    return f"not worse than the champion by {margin} or more"


def _heat(lifelong: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of cells with their relative gain over the base model, and how deep their colour is."""
    values: list[list[float | None]] = lifelong["values"]
    sign = METRICS[lifelong["metric"]].sign if lifelong["metric"] in METRICS else 1
    learned, domains = lifelong["learned"], lifelong["domains"]
    untaught = values[0] if learned[:1] == ["base"] else [None] * len(domains)
    gains = [
        [_gain(value, base, sign) for value, base in zip(row, untaught, strict=True)]
        for row in values
    ]
    deepest = max((abs(g) for row in gains for g in row if g is not None), default=0.0) or 1.0
    rows = []
    for index, (name, row) in enumerate(zip(learned, values, strict=True)):
        known = (*GENERAL, *learned[: index + 1])
        cells = [
            {
                "value": value,
                "gain": gain if name != "base" else None,
                "depth": _STRONGEST * abs(gain) / deepest if gain is not None else 0.0,
                "tone": "worse" if gain is not None and gain < 0 else "better",
                "is_new": domain == name,
                "is_known": domain in known,
            }
            for domain, value, gain in zip(domains, row, gains[index], strict=True)
        ]
        rows.append({"learned": name, "cells": cells})
    return rows


def _gain(value: float | None, base: float | None, sign: int) -> float | None:
    if value is None or base is None or base == 0:
        return None
    return sign * (value - base) / abs(base)


def _curve(curve: Mapping[str, Any]) -> dict[str, Any]:
    """Lines in a square of 100 by 100, and what its corners stand for."""
    shown = [v for v in (*curve["loss"], *curve["smooth"]) if is_number(v)]
    shown += [value for _, value in curve["held_out"]]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    last = max((s for s in curve["steps"] if is_number(s)), default=1.0) or 1.0
    tall = (high - low) or 1.0

    def line(steps: Sequence[float | None], values: Sequence[float | None]) -> str:
        points = [
            (100 * step / last, 98 - 96 * (value - low) / tall)
            for step, value in zip(steps, values, strict=True)
            if step is not None and value is not None
        ]
        if len(points) == 1:  # which would not be seen
            points.insert(0, (points[0][0] - _DASH, points[0][1]))
        return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)

    smooth = [v for v in curve["smooth"] if is_number(v)]
    return dict(curve) | {
        "low": low if shown else None,
        "high": high if shown else None,
        "raw_line": line(curve["steps"], curve["loss"]),
        "smooth_line": line(curve["steps"], curve["smooth"]),
        "held_out_line": line(*_columns(curve["held_out"])),
        "first": smooth[0] if smooth else None,
        "last": smooth[-1] if smooth else None,
    }


def _columns(pairs: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _by_domain(samples: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """The newest domain first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for sample in samples:
        groups.setdefault(sample["domain"], []).append(sample)
    return list(reversed(groups.items()))


def _machines(training: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Machine → the models that were made on it."""
    machines: dict[str, list[str]] = {}
    for entry in training:
        if entry["machine"]:
            machines.setdefault(entry["machine"], []).append(entry["model"])
    return machines


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
