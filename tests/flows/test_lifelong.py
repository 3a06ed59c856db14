"""The loop: what a round learns, what it leaves, and which one is finished first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dialogue.config import load_params
from dialogue.fingerprints import write_fingerprints
from dialogue.manifest import write_manifest
from dialogue.records import Turn
from dialogue.serving.store import Answer, ReplyStore
from flows import lifelong as loop
from flows import rounds
from tasks import releases
from tasks.graph import Graph, ProjectBusy
from tasks.releases import Release
from tasks.serve import REPLIES
from tasks.settings import edited_params

ROOT = Path(__file__).parents[2]
DOMAINS = ("assistant", "feedback_1", "feedback_2")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A champion that learned feedback_1; feedback_2 came after it and was rejected."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    rounds.append_round(tmp_path, "feedback_1", Path("feedback/feedback_1.jsonl"), "assistant")
    rounds.append_round(tmp_path, "feedback_2", Path("feedback/feedback_2.jsonl"), "feedback_1")
    with edited_params(tmp_path / "params.yaml") as settings:
        settings["feedback"]["min_dialogues"] = 1
        for rule in ("num_dialogues", "num_test_dialogues"):
            settings["validate"]["rules"][rule]["min"] = 0
    write_fingerprints(tmp_path / "data" / "fingerprints" / "feedback_1")
    crown(tmp_path)
    judge(tmp_path, "REJECT")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "current_graph", lambda *_: graph())
    monkeypatch.setattr(loop, "train", lambda: {"pipeline": "run"})
    monkeypatch.setattr(loop, "release", lambda pipeline: {"released": pipeline})
    return tmp_path


def graph() -> Graph:
    outputs: dict[str, tuple[Path, ...]] = {"gate": (Path("verdict.json"),)}
    for domain in DOMAINS:
        outputs[f"finetune@{domain}"] = (Path("models") / domain,)
        outputs[f"validate@{domain}"] = (Path("data/fingerprints") / domain,)
    return Graph(parents=dict.fromkeys(outputs, ()), outputs=outputs, stale=frozenset())


def crown(project: Path) -> None:
    folder = project / "models" / "feedback_1"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("one")
    digest = write_manifest(folder, domain="feedback_1")
    verdict: dict[str, Any] = {"champion": None, "candidate": {"domain": "feedback_1"}}
    release, store = Release(digest, 1, folder, "run", verdict), releases.open_store(project)
    releases.record(store, release)
    releases.compare_and_set(store, None, release, action="promote", actor="a", reason="r")


def judge(project: Path, verdict: str) -> None:
    """A verdict on feedback_2 that is on record."""
    fields = ("sentence", "champion", "evidence_digest", "rules", "metrics")
    candidate = {"digest": "a" * 64, "domain": "feedback_2"}
    content = {"verdict": verdict, "candidate": candidate, **dict.fromkeys(fields, "")}
    (project / "verdict.json").write_text(json.dumps(content))
    release = Release("a" * 64, 2, project / "models" / "feedback_2", "run", content)
    releases.record(releases.open_store(project), release)


def serve(project: Path, *names: str) -> None:
    store = ReplyStore(project / REPLIES)
    for name in names:
        history = (Turn("user", f"ask {name}"),)
        store.add_answer(
            Answer(
                name, "2026-11-24T12:00:00.000+00:00", "perennial", "1", "d" * 64,
                name, None, history, f"told {name}", "stop", 5, 5, 0.1,
            )
        )  # fmt: skip
        store.add_rating(name, "up", "")
    store.close()


def write_source(project: Path, domain: str, *names: str) -> None:
    lines = []
    for name in names:
        said = [("user", f"ask {name}"), ("assistant", f"told {name}")]
        messages = [{"role": role, "content": content} for role, content in said]
        lines.append(json.dumps({"messages": messages}) + "\n")
    (project / "feedback").mkdir(exist_ok=True)
    (project / "feedback" / f"{domain}.jsonl").write_text("".join(lines))


@pytest.mark.usefixtures("server")
def test_what_a_rejected_round_held_is_learned_with_the_next_new_dialogues(project: Path) -> None:
    write_source(project, "feedback_1", "learned")
    write_source(project, "feedback_2", "rejected")
    serve(project, "learned", "rejected")
    ended = loop.lifelong()
    assert ended["round"] is None
    assert "0 dialogues are worth a round besides 1 of rounds that no champion" in ended["reason"]
    assert load_params(project / "params.yaml").candidate == "feedback_2"

    serve(project, "new")
    ended = loop.lifelong()
    made = {"round": "feedback_3", "harvested": True}
    assert ended == made | {"pipeline": "run", "release": {"released": "run"}}
    assert load_params(project / "params.yaml").curriculum["feedback_3"].after == "feedback_1"
    lines = (project / "feedback" / "feedback_3.jsonl").read_text().splitlines()
    assert [json.loads(line)["reply_id"] for line in lines] == ["new", "rejected"]


@pytest.mark.usefixtures("server")
def test_a_round_that_nobody_released_is_released_first(project: Path) -> None:
    judge(project, "PROMOTE")
    serve(project, "new")
    ended = loop.lifelong()
    assert (ended["round"], ended["release"]) == ("feedback_2", {"released": "run"})
    assert not ended["harvested"]
    assert load_params(project / "params.yaml").candidate == "feedback_2"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("where", ["current_graph", "train"])
def test_while_another_run_is_going_on_there_is_no_round(
    project: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def busy(*_: object) -> None:
        raise ProjectBusy("PID 1")

    told = {"outcome": "busy", "reason": "PID 1"}
    judge(project, "PROMOTE")
    monkeypatch.setattr(loop, where, {"current_graph": busy, "train": lambda: told}[where])
    assert loop.lifelong() == {"round": None, **told}
