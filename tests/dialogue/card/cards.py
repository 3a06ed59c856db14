"""Cards of every kind, made of constructed verdicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dialogue.card.content import Evidence, card_content
from dialogue.card.curves import read_curve
from dialogue.card.samples import Gain, Sample
from dialogue.records import Dialogue, Turn
from dialogue.verdict import Candidate, Decision, Finding, State, Verdict, decide

DOMAINS = ("chitchat", "support", "assistant")
CURVE = "step,loss,seconds\n1,4.0,0.5\n2,3.0,1.0\n3,2.5,1.5\n"


def comparison(
    domain: str, change: float, state: State, kind: str = "non_inferiority", margin: float = 0.02
) -> Finding:
    """Bits per byte against a champion at 1.0, with an interval of ± 1 %."""
    threshold = {"superiority": 0.0, "non_inferiority": -margin, "suspicion": margin}[kind]
    word = "better" if change >= 0 else "worse"
    return Finding(
        rule={"superiority": "learns the target", "suspicion": "too good to be true"}.get(
            kind, "forgets nothing"
        ),
        metric="bits_per_byte",
        slice=domain,
        kind=kind,
        state=state,
        reason=f"{domain} is {abs(change):.1%} {word} than the champion in bits_per_byte",
        margin=None if kind == "superiority" else margin,
        count=40,
        value=1.0 - change,
        interval=(0.98 - change, 1.02 - change),
        champion_value=1.0,
        bound=1.0 - threshold,
        change=change,
        change_interval=(change - 0.01, change + 0.01),
        p_value=0.004,
        adjusted_p_value=0.012,
        needed=None if state != "undecided" else 340,
    )


def absolute(domain: str, value: float | None, state: State) -> Finding:
    """At most 60 of perplexity."""
    return Finding(
        rule="fluent",
        metric="response_perplexity",
        slice=domain,
        kind="bound",
        state=state,
        reason=f"{domain} has response_perplexity {value}; at most 60 is asked",
        asks="at most",
        count=40,
        value=value,
        interval=None if value is None else (value * 0.8, value * 1.3),
        bound=None if value is None else 60.0,
    )


def missing(domain: str) -> Finding:
    """A comparison without a champion."""
    finding = comparison(domain, 0.0, "not counted")
    reason = f"{domain}: there is no champion to compare bits_per_byte with"
    return replace(
        finding,
        reason=reason,
        value=None,
        interval=None,
        champion_value=None,
        bound=None,
        change=None,
        change_interval=None,
        p_value=None,
        adjusted_p_value=None,
    )


FINDINGS: dict[Decision, tuple[Finding, ...]] = {
    "PROMOTE": (
        comparison("assistant", 0.31, "passed", "superiority"),
        comparison("chitchat", -0.004, "passed"),
        comparison("support", 0.011, "passed"),
        comparison("chitchat", -0.004, "passed", "suspicion", 0.5),
        *[absolute(domain, 35.0, "passed") for domain in DOMAINS],
    ),
    "REJECT": (
        comparison("assistant", 0.02, "passed", "superiority"),
        comparison("chitchat", -0.171, "failed"),
        comparison("support", 0.8, "failed", "suspicion", 0.5),
        absolute("chitchat", 71.0, "failed"),
        absolute("support", None, "failed"),
        absolute("assistant", 20.0, "passed"),
    ),
    "INCONCLUSIVE": (
        comparison("assistant", 0.005, "undecided", "superiority"),
        comparison("chitchat", -0.004, "undecided"),
        absolute("chitchat", 59.0, "undecided"),
    ),
}


def verdict(findings: tuple[Finding, ...], champion: str | None = "h" * 64) -> dict[str, Any]:
    """verdict.json of these findings."""
    candidate = Candidate("assistant", "c" * 64, "p" * 64)
    decision, sentence = decide(findings, candidate, champion)
    return Verdict(
        verdict=decision,
        sentence=sentence,
        candidate=candidate,
        champion=champion,
        exam_digest="e" * 64,
        evidence_digest="d" * 64,
        look=1,
        looks=2,
        alpha=0.025,
        rules=findings,
        metrics={"chitchat": {"response_perplexity": 35.0}},
    ).to_json()


def evaluation(domains: tuple[str, ...], champion: bool = True) -> dict[str, Any]:
    """What `evaluate` reports of a lineage that gets better, domain by domain."""

    def figure(value: float) -> dict[str, float | int]:
        return {"value": value, "low": 0.9 * value, "high": 1.1 * value, "num_dialogues": 40}

    rows = ("base", *domains)
    matrix = {
        row: {
            domain: 2.0 - 0.1 * i + (0.4 if i == 0 else 0.9) * (j > i)
            for j, domain in enumerate(rows)
            if j <= i + 1 or row == "base"
        }
        for i, row in enumerate(rows)
    }
    roles = ("candidate", "champion", "base") if champion else ("candidate", "base")
    return {
        "models": {"candidate": "c" * 64, "base": "b" * 64},
        "metrics": {
            domain: {"bits_per_byte": {role: figure(1.2) for role in roles}} for domain in rows
        },
        "lifelong": {
            "metric": "bits_per_byte",
            "average": 1.1,
            "backward_transfer": -0.02,
            "forward_transfer": 0.2,
            "forgetting": 0.03,
            "forgetting_of": {"chitchat": 0.03},
            "matrix": matrix,
        },
        "speed": {"seconds": 61.0, "tokens_per_second": 1300.0},
    }


def dialogue(domain: str, *texts: str) -> Dialogue:
    """User and assistant in turn."""
    turns = tuple(Turn("user" if i % 2 == 0 else "assistant", text) for i, text in enumerate(texts))
    return Dialogue(f"{domain}-1", turns, domain, "test", "s", "o", "MIT", "d" * 64)


def sample(domain: str = "assistant", text: str = "Turned on the lights.") -> Sample:
    """A dialogue on which the candidate gained."""
    return Sample(
        domain=domain,
        dialogue_id="0123456789abcdef",
        pick="best",
        gain=Gain("champion", 0.25),
        history=(("user", "Turn on the kitchen lights."),),
        human=text,
        candidate=text,
        champion="Which lights?",
        num_omitted=2,
    )


def evidence(
    findings: tuple[Finding, ...],
    champion: str | None = "h" * 64,
    domains: tuple[str, ...] = DOMAINS,
    **more: Any,
) -> Evidence:
    """Everything a card is made of, reports included."""
    return Evidence(
        **{
            "verdict": verdict(findings, champion),
            "lessons": domains,
            "exam": [dialogue(domain, "Hello?", "Hi.") for domain in domains],
            "samples": [sample(domain) for domain in domains],
            "curves": [read_curve(name, CURVE) for name in ("base", *domains)],
            "evaluation": evaluation(domains, champion is not None),
            "pretraining": {"num_tokens": 20_000, "trainable_share": 0.2},
            "ingested": {
                domain: {
                    "source": f"{domain}-dialogues==1.0",
                    "licence": "MIT",
                    "dialogues": {"train": 400, "validation": 30, "test": 66},
                    "files": [{"name": f"{domain}.json", "sha256": "f" * 64}],
                }
                for domain in domains
            },
            "validated": {
                domain: {
                    "num_set_aside": 3,
                    "warnings": [
                        {"description": "words drift by at most 0.1", "observed": "0.2296"}
                    ],
                }
                for domain in domains
            },
            "encoded": {domain: {"train_supervised_tokens": 9251} for domain in domains},
            "trained": {
                domain: {"num_steps": 60, "num_tokens": 29_407, "machine": "A processor, 2 cores"}
                for domain in domains
            },
            "commit": "1" * 40,
            **more,
        }
    )


def card(decision: Decision) -> dict[str, Any]:
    """The content of a card with this decision."""
    return card_content(evidence(FINDINGS[decision]))
