"""Stages as processes: what is heard of them, what becomes of them, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.graph import ProjectBusy
from tasks.processes import Listener, Processes, StageError, StageInterruptedError

ONE = "stages:\n  pretrain:\n    cmd: {}\n    deps: [step.sh]\n    outs: [base.txt]\n"
BAR = r"printf 'one\n\rloss 3\rloss \033[1m2\033[0m\r'; sleep 0.3; printf 'loss 1\n'"
WAITS = """\
import pathlib, time
pathlib.Path("begun").touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    pathlib.Path("saved").touch()
    raise SystemExit(130)
"""

Project = Callable[[str], Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    def make(command: str) -> Path:
        (tmp_path / "step.sh").write_text(command + "\n")
        (tmp_path / "waits.py").write_text(WAITS)
        (tmp_path / "dvc.yaml").write_text(ONE.format("sh step.sh"))
        for words in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
            subprocess.run(words, cwd=tmp_path, check=True)
        return tmp_path

    return make


class Heard:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.progress: list[str] = []

    @property
    def listener(self) -> Listener:
        return Listener(self.lines.append, self.progress.append)


def appears(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def test_a_stage_runs_then_is_unchanged_then_comes_from_the_cache(project: Project) -> None:
    folder = project("echo said by $WHO; echo base > base.txt")
    processes = Processes(folder, terminal=False, environment={"WHO": "me"})
    heard = Heard()
    assert processes.run("pretrain", heard.listener) == "ran"
    assert heard.lines == ["said by me"]
    assert processes.run("pretrain", heard.listener) == "unchanged"
    (folder / "base.txt").unlink()
    assert processes.run("pretrain", heard.listener) == "restored"
    assert heard.lines == ["said by me"], "what DVC says of itself is not the stage's"


def test_a_progress_bar_moves_on_a_terminal(project: Project) -> None:
    heard = Heard()
    folder = project(f"test -t 2 || exit 1; {BAR}; echo base > base.txt")
    Processes(folder, terminal=True).run("pretrain", heard.listener)
    assert heard.lines == ["one", "loss 1"]
    assert "loss 2" in heard.progress


def test_a_failure_carries_status_and_last_lines(project: Project) -> None:
    folder = project("for i in $(seq 30); do echo line $i; done; echo 'error: a: b' >&2; exit 2")
    with pytest.raises(StageError) as caught:
        Processes(folder, terminal=False).run("pretrain", Heard().listener)
    error = caught.value
    assert error.status == 2
    assert error.lines[-2:] == ("line 30", "error: a: b")
    assert len(error.lines) == 20
    assert error.errors == ("a: b",)
    assert str(error) == "the stage pretrain failed with exit status 2"


def test_a_stage_that_dvc_refuses_says_why(project: Project) -> None:
    folder = project("true")
    with pytest.raises(StageError) as caught:
        Processes(folder, terminal=False).run("pretrain", Heard().listener)
    assert any("base.txt" in line for line in caught.value.lines), caught.value.lines
    assert caught.value.errors == ()


def test_another_run_at_the_same_files_is_no_failure_of_the_stage(project: Project) -> None:
    folder = project("echo base > base.txt")
    ours = {"pid": os.getpid(), "cmd": "dvc repro"}
    (folder / ".dvc" / "tmp").mkdir(exist_ok=True)
    held = {"write": {str(folder / "base.txt"): ours}, "read": {}}
    (folder / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(held))
    with pytest.raises(ProjectBusy, match=rf"another run is going on here \(PID {os.getpid()}\)"):
        Processes(folder, terminal=True).run("pretrain", Heard().listener)


def test_nothing_is_started_once_stopped(project: Project) -> None:
    processes = Processes(project("echo base > base.txt"), terminal=False)
    processes.stop()
    with pytest.raises(StageInterruptedError):
        processes.run("pretrain", Heard().listener)


def test_a_stage_that_does_not_obey_is_killed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.processes._GRACE_SECONDS", 0.5)
    folder = project("trap '' INT; touch begun; sleep 40; sleep 1")
    processes = Processes(folder, terminal=False)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(processes.run, "pretrain", Heard().listener)
        appears(folder / "begun")
        processes.stop()
        # What it says ends when nobody is left who could say it.
        with pytest.raises(StageInterruptedError):
            running.result(timeout=20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stage_is_interrupted_when_its_starter_dies(
    project: Project, number: signal.Signals
) -> None:
    folder = project("exec python waits.py")
    script = (
        "from pathlib import Path; from tasks.processes import Listener, Processes; "
        "Processes(Path(), terminal=False).run('pretrain', Listener(print, print))"
    )
    root = str(Path(__file__).parents[2])
    starter = subprocess.Popen(
        [sys.executable, "-c", script], cwd=folder, env={**os.environ, "PYTHONPATH": root}
    )
    try:
        appears(folder / "begun")
    finally:
        starter.send_signal(number)
        starter.wait()
    appears(folder / "saved")
