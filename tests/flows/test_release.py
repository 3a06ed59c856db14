"""A flow that comes at the wrong time, and what a release tells."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import release as door
from flows.train import train
from tasks.promote import Reconciliation
from tasks.releases import Conflict

ROOT = Path(__file__).parents[2]
LONG = """
stages:
  pretrain:
    cmd: touch begun && sleep 60
    outs: [base.txt]
"""

IN_STEP = Reconciliation("in step", None, None, "")

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def project(make_project: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    project = make_project(LONG)
    shutil.copy(ROOT / "params.yaml", project)
    monkeypatch.setattr(door, "reconcile", lambda *_, **__: IN_STEP)
    return project


@pytest.mark.parametrize("flow", [train, door.release], ids=lambda flow: flow.name)
def test_while_a_stage_runs_there_is_nothing_to_do_and_that_is_no_failure(
    project: Path, flow: Callable[[], dict[str, Any]]
) -> None:
    command = [sys.executable, "-m", "dvc", "repro", "-s", "pretrain"]
    running = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
    try:
        while not (project / "begun").exists():
            assert running.poll() is None
            time.sleep(0.05)
        ended = flow()
    finally:
        running.kill()
        running.wait()
    assert ended["outcome"] == "busy"
    assert f"PID {running.pid}" in ended["reason"]


@pytest.mark.usefixtures("project")
def test_a_candidate_that_cannot_be_judged_again_now_waits_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faster(*_: object) -> None:
        raise Conflict("another was faster")

    busy = {"outcome": "busy", "reason": "PID 1"}
    monkeypatch.setattr(door, "_release", faster)
    monkeypatch.setattr(door, "train", lambda: busy)
    assert door.release() == busy


STALE = """
stages:
  report:
    cmd: touch card.html
    outs: [card.html]
"""


def test_what_is_stale_is_not_released(
    make_project: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", make_project(STALE))
    monkeypatch.setattr(door, "reconcile", lambda *_, **__: IN_STEP)
    monkeypatch.setattr(door, "register", lambda *_, **__: pytest.fail("it was registered"))
    ended = door.release()
    assert ended["outcome"] == "stale"
    assert "`perennial run` judges anew" in ended["reason"]


@pytest.mark.usefixtures("project")
def test_what_became_of_an_alias_that_was_moved_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    granted = Reconciliation("promoted", 1, None, "the board wants it")
    monkeypatch.setattr(door, "reconcile", lambda *_, **__: granted)
    monkeypatch.setattr(door, "_release", lambda *_: {"outcome": "refused"})
    assert door.release() == {"outcome": "refused", "alias": "promoted: the board wants it"}
