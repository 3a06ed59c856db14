from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dialogue.records import Dialogue, Turn
from dialogue.replies import Reply
from dialogue.report import matrix_csv, samples_markdown, summarize
from dialogue.scores import ModelRole, Score


def bits(role: ModelRole, learned: str, domain: str, value: float) -> list[Score]:
    digest = {"candidate": "c", "base": "b", "champion": "h"}.get(role, learned) * 64
    return [
        Score(role, digest[:64], learned, domain, str(i), "bits_per_byte", value + i / 10, 1.0)
        for i in (-1, 0, 1)
    ]


SCORES = [
    *bits("candidate", "b", "a", 1.2),
    *bits("candidate", "b", "b", 1.0),
    *bits("champion", "z", "a", 9.0),
    *bits("parent", "a", "b", 1.8),
    *bits("base", "base", "a", 2.0),
    *bits("base", "base", "b", 2.0),
    *bits("ancestor", "a", "a", 1.1),
]


def test_figures_have_intervals_and_the_matrix_spans_the_rounds() -> None:
    report = summarize(SCORES, ["a", "b"], "e" * 64, seed=1)
    figure = report.figures_of["a"]["bits_per_byte"]["candidate"]
    assert figure.value == pytest.approx(1.2)
    assert (figure.low, figure.high) == pytest.approx((1.1, 1.3))
    assert set(report.figures_of["a"]["bits_per_byte"]) == {"candidate", "champion", "base"}
    assert set(report.models) == {"candidate", "champion", "parent", "base"}
    assert report.lifelong.backward_transfer == pytest.approx(-0.1)
    assert report.lifelong.forward_transfer == pytest.approx(0.2)
    assert ("z", "a") not in report.matrix


def test_the_report_is_plain_json_and_flat_figures() -> None:
    broken = replace(SCORES[0], metric="mrr", weight=0.0)
    report = summarize([*SCORES, broken], ["a", "b"], "e" * 64, seed=1)
    plain = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert plain["lifelong"]["matrix"]["a"] == pytest.approx({"a": 1.1, "b": 1.8})
    assert plain["metrics"]["a"]["mrr"]["candidate"]["value"] is None
    flat = report.figures()
    assert flat["b/bits_per_byte"] == pytest.approx(1.0)
    assert flat["lifelong/forgetting"] == pytest.approx(0.1)
    assert "a/mrr" not in flat


def test_size_and_speed_stand_beside_the_figures() -> None:
    report = summarize(SCORES, ["a", "b"], "e" * 64, seed=1)
    report.size.update(parameters=7, bytes=28)
    report.speed.update(seconds=2.0)
    plain = report.to_json()
    assert (plain["size"], plain["speed"]) == ({"parameters": 7, "bytes": 28}, {"seconds": 2.0})
    flat = report.figures()
    assert (flat["size/parameters"], flat["seconds"]) == (7.0, 2.0)


def test_the_matrix_is_a_table_with_a_line_per_cell() -> None:
    lines = matrix_csv(summarize(SCORES, ["a", "b"], "e" * 64, seed=1)).splitlines()
    assert lines[0] == "cell,learned,domain,bits_per_byte"
    assert "a after b,b,a,1.200000" in lines
    assert "b after base,base,b,2.000000" in lines
    assert len(lines) == 1 + 6


def test_samples_take_the_domains_in_turn() -> None:
    exam = {
        name: [
            Dialogue(
                f"{name}{i}",
                (Turn("user", "hi\nthere"), Turn("assistant", "hello"), Turn("user", "bye")),
                name,
                "test",
                "s",
                "o",
                "MIT",
                "d",
            )
            for i in range(2)
        ]
        for name in ("a", "b", "base")
    }
    replies = [
        Reply("candidate", "a", "a0", "hey"),
        Reply("candidate", "a", "a1", ""),
        Reply("candidate", "b", "b1", "ho"),
        Reply("champion", "b", "b1", "hum"),
    ]
    text = samples_markdown(exam, replies)
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## a · a0", "## b · b1", "## a · a1"]
    assert "> **user**: hi ⏎ there" in text
    assert "- human: hello\n- candidate: ho\n- champion: hum" in text
    assert "- candidate: (nothing)" in text
    assert "bye" not in text
