"""A round: whom its candidate must beat, and what feedback appends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dialogue.config import Lesson, load_params
from dialogue.manifest import write_manifest
from flows import rounds
from tasks import releases
from tasks.graph import Graph
from tasks.releases import Release
from tasks.settings import edited_params

ROOT = Path(__file__).parents[2]
OTHER = "f" * 64


def graph(*stale: str) -> Graph:
    """What the project's own graph says of the last round."""
    stages = ("encode@assistant", "finetune@assistant", "gate")
    return Graph(
        parents={stages[0]: (), stages[1]: stages[:1], stages[2]: stages[1:2]},
        outputs={stages[1]: (Path("models/assistant"),), stages[2]: (Path("verdict.json"),)},
        stale=frozenset(stale),
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def make_candidate(project: Path, weights: str) -> str:
    folder = project / "models" / "assistant"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_text(weights)
    return write_manifest(folder, domain="assistant")


def crown(project: Path, digest: str, beaten: str | None, action: str = "promote") -> Release:
    store = releases.open_store(project)
    verdict: dict[str, Any] = {"champion": beaten, "candidate": {"domain": "assistant"}}
    version = len(releases.releases(store)) + 1
    release = Release(digest, version, project / "models" / "assistant", "run", verdict)
    releases.record(store, release)
    reigning = releases.champion(store)
    expected = reigning.digest if reigning else None
    releases.compare_and_set(store, expected, release, action=action, actor="a", reason="r")
    return release


def lesson(project: Path) -> Lesson:
    return load_params(project / "params.yaml").curriculum["assistant"]


def test_without_a_champion_there_is_nobody_to_beat(project: Path) -> None:
    make_candidate(project, "one")
    before = (project / "params.yaml").read_text()
    assert not rounds.begin_round(project, graph())
    with edited_params(project / "params.yaml") as settings:
        settings["curriculum"]["assistant"]["against"] = OTHER
    assert rounds.begin_round(project, graph()), "a clone knows no champion of another store"
    assert (project / "params.yaml").read_text() == before


def test_a_new_candidate_must_beat_the_champion_and_the_comments_stay(project: Path) -> None:
    crown(project, OTHER, beaten=None)
    make_candidate(project, "one")
    before = (project / "params.yaml").read_text()
    assert rounds.begin_round(project, graph())
    assert lesson(project).against == OTHER
    changed = set((project / "params.yaml").read_text().splitlines()) ^ set(before.splitlines())
    assert len(changed) == 2
    assert not rounds.begin_round(project, graph()), "once is enough"


def test_the_champion_keeps_whom_it_beat(project: Path) -> None:
    crown(project, OTHER, beaten=None)
    digest = make_candidate(project, "one")
    rounds.begin_round(project, graph())
    crown(project, digest, beaten=OTHER)
    assert not rounds.begin_round(project, graph())
    assert lesson(project).against == OTHER


def test_a_candidate_that_is_trained_again_counts_as_new_until_it_is_the_same(
    project: Path,
) -> None:
    digest = make_candidate(project, "one")
    crown(project, digest, beaten=None)
    assert rounds.begin_round(project, graph("encode@assistant"))
    assert lesson(project).against == digest
    assert rounds.begin_round(project, graph()), "nobody is better than himself"
    assert lesson(project).against is None
    assert not rounds.begin_round(project, graph("gate")), "the gate makes no new model"


def test_feedback_continues_from_the_champion(project: Path) -> None:
    champion = crown(project, OTHER, beaten=None)
    params = load_params(project / "params.yaml")
    assert rounds.next_feedback_round(params) == "feedback_1"
    rounds.append_round(project, "feedback_1", Path("feedback/feedback_1.jsonl"), champion)
    params = load_params(project / "params.yaml")
    assert params.candidate == "feedback_1"
    assert params.curriculum["feedback_1"].after == "assistant"
    assert params.ingest.sources["feedback_1"].format == "messages"
    assert rounds.next_feedback_round(params) == "feedback_2"


def test_feedback_cannot_continue_from_a_domain_that_is_gone(project: Path) -> None:
    champion = crown(project, OTHER, beaten=None)
    with edited_params(project / "params.yaml") as settings:
        del settings["curriculum"]["assistant"]
    with pytest.raises(ValueError, match="the champion learned `assistant` last"):
        rounds.append_round(project, "feedback_1", Path("a.jsonl"), champion)


def test_a_verdict_that_is_not_there_yet(project: Path) -> None:
    with pytest.raises(ValueError, match="no verdict yet"):
        rounds.verdict_of(project, graph())
    (project / "verdict.json").write_text(json.dumps({"verdict": "PROMOTE"}))
    with pytest.raises(ValueError, match="lacks"):
        rounds.verdict_of(project, graph())
