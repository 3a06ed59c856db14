from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pytest

from dialogue.card.content import card_content
from dialogue.card.page import render_page
from dialogue.verdict import Decision
from tests.dialogue.card.cards import DOMAINS, FINDINGS, absolute, card, evidence, verdict


@pytest.mark.parametrize("decision", FINDINGS)
def test_every_finding_stands_on_the_card_under_its_rule(decision: Decision) -> None:
    content = card(decision)
    assert content["verdict"] == decision
    assert content["sentence"].startswith(decision)
    found = [finding for rule in content["rules"] for finding in rule["findings"]]
    expected = [finding.to_json() for finding in FINDINGS[decision]]
    assert sorted(found, key=str) == json.loads(json.dumps(sorted(expected, key=str)))
    assert sum(content["counts"].values()) == len(expected)


def test_a_rule_is_one_entry_with_what_its_metric_means() -> None:
    rules = {rule["rule"]: rule for rule in card("PROMOTE")["rules"]}
    assert list(rules) == ["learns the target", "forgets nothing", "too good to be true", "fluent"]
    assert [finding["slice"] for finding in rules["fluent"]["findings"]] == list(DOMAINS)
    assert rules["fluent"]["better"] == "lower"
    assert "exponential" in rules["fluent"]["definition"]


def test_the_matrix_has_a_row_a_model_and_a_column_a_domain() -> None:
    lifelong = card("PROMOTE")["lifelong"]
    assert lifelong["learned"] == lifelong["domains"] == ["base", *DOMAINS]
    assert lifelong["values"][1] == pytest.approx([1.9, 1.9, 2.8, None])


def test_the_matrix_shows_instructions_beside_the_base() -> None:
    given = evidence(FINDINGS["PROMOTE"])
    matrix = given.evaluation["lifelong"]["matrix"]
    asked = {row: values | {"instructions": 1.0} for row, values in matrix.items()}
    told = given.evaluation | {"lifelong": given.evaluation["lifelong"] | {"matrix": asked}}
    content = card_content(replace(given, evaluation=told))
    assert content["lifelong"]["domains"] == ["base", "instructions", *DOMAINS]
    assert all(values[1] == 1.0 for values in content["lifelong"]["values"])
    # Italics are for what a model had not learned yet; general ability was always there.
    cells = re.findall(r'<td class="([^"]*)"[^>]*>1(?:\.0+)?[\s<]', render_page(content))
    assert len(cells) == len(content["lifelong"]["learned"])
    assert not any("unknown" in cell for cell in cells)


def test_the_newest_domain_comes_first_and_every_role_keeps_its_interval() -> None:
    slices = card("PROMOTE")["slices"]
    assert [part["domain"] for part in slices] == ["assistant", "support", "chitchat", "base"]
    metric = slices[0]["metrics"][0]
    assert metric["champion"] == {
        "value": 1.2,
        "low": pytest.approx(1.08),
        "high": pytest.approx(1.32),
        "num_dialogues": 40,
    }


def test_data_cost_and_lineage_come_from_the_reports() -> None:
    content = card("PROMOTE")
    assert content["exam"] == dict.fromkeys(DOMAINS, 1)
    assert content["data"][1]["source"] == "support-dialogues==1.0"
    assert content["data"][1]["warnings"] == [
        {"expected": "words drift by at most 0.1", "observed": "0.2296"}
    ]
    assert content["data"][1]["files"][0]["sha256"] == "f" * 64
    training = {entry["model"]: entry for entry in content["cost"]["training"]}
    assert list(training) == ["base", *DOMAINS]
    assert training["support"]["seconds"] == 1.5
    assert [training[name]["num_steps"] for name in ("base", "support")] == [3, 3]
    assert training["support"]["machine"] == "A processor, 2 cores"
    lineage = content["lineage"]
    assert (lineage["base"], lineage["commit"]) == ("b" * 64, "1" * 40)
    assert (lineage["looks"], lineage["alpha"]) == (2, 0.025)


def test_what_the_reports_lack_is_missing_on_the_card() -> None:
    bare = card_content(
        evidence(
            FINDINGS["REJECT"],
            evaluation={},
            pretraining={},
            ingested={},
            validated={},
            encoded={},
            trained={},
            curves=[],
            samples=[],
            exam=[],
        )
    )
    assert bare["slices"] == bare["curves"] == bare["samples"] == bare["cost"]["training"] == []
    assert bare["lifelong"]["values"] == []
    assert bare["data"][0]["source"] is None


def test_the_content_is_strict_json_whatever_was_measured() -> None:
    findings = (absolute("chitchat", math.nan, "failed"), absolute("support", math.inf, "failed"))
    judged = verdict(findings) | {"metrics": {"chitchat": {"response_perplexity": math.nan}}}
    told = {"metric": "bits_per_byte", "matrix": {"base": {"base": math.inf}}, "average": math.nan}
    content = card_content(
        evidence(findings, verdict=judged, evaluation={"lifelong": told, "metrics": {}})
    )
    text = json.dumps(content, allow_nan=False)
    assert json.loads(text) == content
    assert content["lifelong"]["values"] == [[None]]
