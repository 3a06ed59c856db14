from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dialogue.config import Gate, Lesson, Params, Rule
from dialogue.log import SilentLog
from dialogue.records import Dialogue, Turn, write_dialogues
from dialogue.replies import Reply, write_replies
from dialogue.scores import ModelRole, Score, write_scores
from tasks.gate import gate
from tasks.report import report

NUM_DIALOGUES = 24
CURVE = "step,loss,seconds\n1,4.0,0.5\n2,3.0,1.0\n"


class Artifacts(SilentLog):
    """A log that remembers which files it was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def artifact(self, path: Path) -> None:
        self.seen.append(path.name)


@pytest.fixture
def settings(params: Params) -> Params:
    rules = (
        Rule(name="fluent", metric="bits_per_byte", slice="each", kind="bound", max=2.0),
        Rule(name="better", metric="bits_per_byte", slice="target", kind="superiority"),
    )
    strict = Gate(alpha=0.05, resamples=200, min_dialogues=20, second_look=0, seed=1, rules=rules)
    curriculum = {"chitchat": Lesson(after="base", against="h" * 64)}
    return params.model_copy(update={"gate": strict, "curriculum": curriculum})


def score(role: ModelRole, digest: str, number: int, metric: str, value: float) -> Score:
    return Score(role, digest * 64, "chitchat", "chitchat", f"{number:03d}", metric, value, 1.0)


@pytest.fixture
def project(settings: Params, tmp_path: Path) -> Path:
    """What the stages before leave, the verdict by the real gate."""
    scores = tmp_path / "scores"
    turns = (Turn("user", "Hello?"), Turn("assistant", "Hi & <b>welcome</b>."))
    exam = [
        Dialogue(f"{i:03d}", turns, "chitchat", "test", "s", "o", "MIT", "d")
        for i in range(NUM_DIALOGUES)
    ]
    rows = [
        each
        for i in range(NUM_DIALOGUES)
        for each in (
            score("candidate", "c", i, "bits_per_byte", 1.0 + 0.01 * i),
            score("champion", "h", i, "bits_per_byte", 1.3),
            score("parent", "p", i, "bits_per_byte", 1.6),
        )
    ]
    write_dialogues(scores / "chitchat" / "exam.parquet", exam)
    write_scores(scores / "chitchat" / "rows.parquet", rows)
    roles: tuple[ModelRole, ...] = ("candidate", "champion")
    replies = [Reply(role, "chitchat", f"{i:03d}", f"{role}!") for i in range(8) for role in roles]
    write_replies(scores / "chitchat" / "replies.parquet", replies)
    reports = tmp_path / "reports"
    gate(
        settings,
        SilentLog(),
        scores=scores,
        valid=tmp_path / "valid",
        models=tmp_path / "models",
        evidence=tmp_path / "evidence",
        verdict=reports / "verdict.json",
        summary=reports / "verdict.md",
    )
    told = {
        "ingest": {"source": "chat==1.0", "licence": "MIT", "dialogues": {"train": 9}},
        "validate": {"num_set_aside": 2},
        "encode": {"train_supervised_tokens": 321},
        "finetune": {"num_steps": 2, "machine": "A processor"},
        "evaluate": {"metrics": {}, "speed": {"seconds": 5.0}},
    }
    for stage, content in told.items():
        (reports / stage).mkdir()
        (reports / stage / "chitchat.json").write_text(json.dumps(content))
    (reports / "finetune" / "chitchat.csv").write_text(CURVE)
    (reports / "pretrain.json").write_text(json.dumps({"num_tokens": 20_000}))
    (reports / "pretrain.csv").write_text(CURVE)
    return tmp_path


def make(settings: Params, project: Path, log: SilentLog | None = None) -> tuple[str, str]:
    """The page and the JSON."""
    reports = project / "reports"
    page, data = reports / "card.html", reports / "card.json"
    report(
        settings,
        log or SilentLog(),
        verdict=reports / "verdict.json",
        evidence=project / "evidence",
        scores=project / "scores",
        pretrained=reports / "pretrain.json",
        ingested=reports / "ingest",
        validated=reports / "validate",
        encoded=reports / "encode",
        finetuned=reports / "finetune",
        evaluated=reports / "evaluate",
        page=page,
        data=data,
    )
    return page.read_text(), data.read_text()


def test_the_card_tells_the_verdict_and_what_it_rests_on(settings: Params, project: Path) -> None:
    log = Artifacts()
    page, data = make(settings, project, log)
    card = json.loads(data)
    verdict = json.loads((project / "reports" / "verdict.json").read_text())
    assert card["sentence"] == verdict["sentence"]
    assert card["verdict"] == "PROMOTE"
    assert [f for rule in card["rules"] for f in rule["findings"]] == verdict["rules"]
    assert card["sentence"].removeprefix("PROMOTE: ") in page
    assert [sample["dialogue_id"] for sample in card["samples"] if sample["pick"] == "best"] == [
        "000",
        "001",
    ]
    assert card["samples"][0]["gain"] == pytest.approx(0.3)
    assert "Hi &amp; &lt;b&gt;welcome&lt;/b&gt;." in page
    assert card["data"][0]["source"] == "chat==1.0"
    assert card["cost"]["training"][1]["machine"] == "A processor"
    assert [curve["name"] for curve in card["curves"]] == ["base", "chitchat"]
    assert log.seen == ["card.html", "card.json"]


def test_the_same_evidence_makes_the_same_card(settings: Params, project: Path) -> None:
    assert make(settings, project) == make(settings, project)


def test_how_many_replies_are_shown_is_a_setting(settings: Params, project: Path) -> None:
    none = settings.report.model_copy(update={"num_samples": 0})
    page, data = make(settings.model_copy(update={"report": none}), project)
    assert json.loads(data)["samples"] == []
    assert "report.num_samples" in page


def test_a_missing_or_damaged_report_is_named(settings: Params, project: Path) -> None:
    path = project / "reports" / "evaluate" / "chitchat.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"evaluate/chitchat\.json: damaged"):
        make(settings, project)
    shutil.rmtree(path.parent)
    with pytest.raises(ValueError, match=r"evaluate/chitchat\.json: missing; run the stage"):
        make(settings, project)


def test_the_verdict_must_be_on_the_curriculums_last_lesson(
    settings: Params, project: Path
) -> None:
    longer = {**settings.curriculum, "support": Lesson(after="chitchat")}
    with pytest.raises(ValueError, match="judges chitchat, the curriculum ends with support"):
        make(settings.model_copy(update={"curriculum": longer}), project)
