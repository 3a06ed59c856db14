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
    champion = crown(project, make_candidate(project, "one"), beaten=None)
    params = load_params(project / "params.yaml")
    assert rounds.next_feedback_round(params) == "feedback_1"
    after = rounds.champion_domain(project, params, graph(), champion)
    rounds.append_round(project, "feedback_1", Path("feedback/feedback_1.jsonl"), after)
    params = load_params(project / "params.yaml")
    assert params.candidate == "feedback_1"
    assert params.curriculum["feedback_1"].after == "assistant"
    assert params.ingest.sources["feedback_1"].format == "messages"
    assert rounds.next_feedback_round(params) == "feedback_2"


def test_feedback_cannot_continue_from_a_domain_that_is_gone(project: Path) -> None:
    champion = crown(project, OTHER, beaten=None)
    with edited_params(project / "params.yaml") as settings:
        del settings["curriculum"]["assistant"]
    params = load_params(project / "params.yaml")
    with pytest.raises(ValueError, match="the champion learned `assistant` last"):
        rounds.champion_domain(project, params, graph(), champion)


def test_feedback_does_not_continue_from_a_model_that_was_rolled_back(project: Path) -> None:
    """The same domain, learned twice: what lies in its folder is the second one."""
    first = make_candidate(project, "one")
    champion = crown(project, first, beaten=None)
    crown(project, make_candidate(project, "two"), beaten=first)
    releases.compare_and_set(
        releases.open_store(project),
        releases.reigns(releases.journal(releases.open_store(project)))[-1],
        champion,
        action="rollback",
        actor="a",
        reason="r",
    )
    params = load_params(project / "params.yaml")
    with pytest.raises(ValueError, match="models/assistant: holds v2, but v1 is champion"):
        rounds.champion_domain(project, params, graph(), champion)


@pytest.mark.parametrize("stale", ["encode@assistant", "finetune@assistant"])
def test_feedback_does_not_continue_from_a_model_that_is_made_again(
    project: Path, stale: str
) -> None:
    champion = crown(project, make_candidate(project, "one"), beaten=None)
    params = load_params(project / "params.yaml")
    with pytest.raises(ValueError, match=r"`perennial run` first"):
        rounds.champion_domain(project, params, graph(stale), champion)


def test_only_numbered_rounds_are_feedback(project: Path) -> None:
    append(project, "feedback_forms")
    append(project, "feedback_1")
    params = load_params(project / "params.yaml")
    every = set(params.curriculum)
    sources = rounds.feedback_sources(project, params, every)
    assert sources == [project / "feedback" / "feedback_1.jsonl"]
    assert rounds.feedback_sources(project, params, every - {"feedback_1"}) == []
    with edited_params(project / "params.yaml") as settings:
        del settings["curriculum"]["feedback_1"]
    params = load_params(project / "params.yaml")
    assert params.candidate == "feedback_forms"
    assert rounds.next_feedback_round(params) == "feedback_2", "the first was declined"
    assert rounds.feedback_sources(project, params, params.ingest.sources) == []
    (project / "feedback").mkdir()
    (project / "feedback" / "feedback_1.jsonl").touch()
    assert rounds.feedback_sources(project, params, params.ingest.sources) == sources


def test_a_round_that_is_stale_is_under_way(project: Path) -> None:
    assert under_way(project, "gate"), "whatever is to be judged is judged first"
    append(project, "feedback_1")
    assert under_way(project, "gate")


def test_a_round_is_under_way_until_its_verdict_is_on_record(project: Path) -> None:
    append(project, "feedback_1")
    judge(project, "REJECT")
    assert under_way(project), "nobody registered it"
    release = register(project)
    assert not under_way(project)
    judge(project, "PROMOTE")
    assert under_way(project), "it was judged again, and that is not on record"
    assert register(project).digest == release.digest
    assert under_way(project), "nobody promoted it"


@pytest.mark.parametrize("verdict", ["REJECT", "INCONCLUSIVE"])
def test_a_round_that_was_not_good_enough_is_over(project: Path, verdict: str) -> None:
    append(project, "feedback_1")
    judge(project, verdict)
    register(project)
    assert not under_way(project)


def test_a_round_that_reigns_is_over_and_stays_so_when_it_is_rolled_back(project: Path) -> None:
    append(project, "feedback_1")
    champion = crown(project, OTHER, beaten=None)
    judge(project, "PROMOTE")
    release, store = register(project), releases.open_store(project)
    moves = {"actor": "a", "reason": "r"}
    releases.compare_and_set(store, OTHER, release, action="promote", **moves)
    assert not under_way(project)
    releases.compare_and_set(store, release.digest, champion, action="rollback", **moves)
    assert not under_way(project)


def test_a_round_that_was_refused_is_over(project: Path) -> None:
    append(project, "feedback_1")
    judge(project, "PROMOTE")
    store = releases.open_store(project)
    releases.append(store, action="refuse", release=register(project), actor="a", reason="too slow")
    assert not under_way(project)


def append(project: Path, domain: str) -> None:
    rounds.append_round(project, domain, Path(f"feedback/{domain}.jsonl"), "assistant")


def feedback_graph(domain: str, *stale: str) -> Graph:
    return Graph(
        parents={f"finetune@{domain}": (), "gate": (f"finetune@{domain}",)},
        outputs={"gate": (Path("verdict.json"),)},
        stale=frozenset(stale),
    )


def under_way(project: Path, *stale: str) -> bool:
    params = load_params(project / "params.yaml")
    return rounds.is_under_way(project, feedback_graph(params.candidate, *stale))


def judge(project: Path, verdict: str) -> None:
    """The gate's verdict on the round."""
    content = {
        "verdict": verdict,
        "sentence": "because",
        "candidate": {"digest": "a" * 64, "domain": "feedback_1"},
        "champion": OTHER,
        "evidence_digest": "e" * 64,
        "rules": [],
        "metrics": {},
    }
    (project / "verdict.json").write_text(json.dumps(content))


def register(project: Path) -> Release:
    """Put the verdict as it stands on record."""
    verdict = rounds.verdict_of(project, feedback_graph("feedback_1"))
    folder = project / "models" / "feedback_1"
    release = Release(verdict["candidate"]["digest"], 7, folder, "run", verdict)
    releases.record(releases.open_store(project), release)
    return release


def test_a_verdict_that_is_not_there_yet(project: Path) -> None:
    with pytest.raises(ValueError, match="no verdict yet"):
        rounds.verdict_of(project, graph())
    (project / "verdict.json").write_text(json.dumps({"verdict": "PROMOTE"}))
    with pytest.raises(ValueError, match="lacks"):
        rounds.verdict_of(project, graph())
