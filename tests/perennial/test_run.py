from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dialogue.config import load_params
from perennial import run
from tasks import releases
from tasks.graph import Graph
from tasks.releases import Release

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


@pytest.mark.parametrize(
    "ended",
    [
        {"outcome": "busy", "reason": "PID 1 runs a stage"},
        {"round": None, "outcome": "busy", "reason": "PID 1 runs a stage"},
        {
            "stages": [],
            "verdict": {},
            "release": {"outcome": "busy", "reason": "PID 1 runs a stage"},
        },
    ],
    ids=["before anything", "before the round", "before the release"],
)
def test_where_another_run_is_going_on_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: dict[str, Any]
) -> None:
    monkeypatch.setattr(run, "enter_project", lambda: (tmp_path, PARAMS))
    monkeypatch.setattr("perennial.profile.check_profile", lambda *_: None)
    monkeypatch.setattr(run, "_run_flows", lambda *_: ended)
    with pytest.raises(ValueError, match="PID 1 runs a stage"):
        run.run_command(feedback=True)


@pytest.mark.parametrize("verdict", ["PROMOTE", "REJECT"])
def test_who_is_champion_is_said_after_an_alias_moved_by_hand_had_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str
) -> None:
    monkeypatch.delenv("PERENNIAL_RELEASES_URL", raising=False)
    told = {"candidate": {"digest": "b" * 64}, "verdict": verdict, "sentence": f"{verdict}."}
    store = releases.open_store(tmp_path)
    first, second = (
        Release(letter * 64, number, tmp_path, "run", told)
        for number, letter in enumerate("ab", start=1)
    )
    before, after = (second, first) if verdict == "PROMOTE" else (first, second)
    for release in (first, second):
        releases.record(store, release)
    releases.compare_and_set(store, None, before, action="promote", actor="a", reason="r")

    def grant(*_: object) -> str:
        releases.compare_and_set(
            store, before.digest, after, action="override", actor="a", reason="r"
        )
        return "promoted: the board wants it"

    monkeypatch.setattr(run, "_reconcile", grant)
    monkeypatch.setattr("tasks.freshness.current_graph", lambda *_: Graph({}, {}, frozenset()))
    monkeypatch.setattr("flows.rounds.begin_round", lambda *_: False)
    monkeypatch.setattr("flows.rounds.verdict_of", lambda *_: told)
    ended = run._nothing_to_do(tmp_path, PARAMS)
    assert ended is not None
    assert ended["release"]["outcome"] == ("replaced" if verdict == "PROMOTE" else "promoted")
    assert ended["release"]["alias"] == "promoted: the board wants it"
