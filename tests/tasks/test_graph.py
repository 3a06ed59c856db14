"""The stage graph as DVC reads it, and the folders in which there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.graph import ProjectBusy, check_project, read_graph

STAGES = """
stages:
  gate:
    cmd: cat models/chitchat | tee verdict.md > verdict.json
    deps: [models/chitchat]
    metrics: ["verdict.json": {cache: false}]
    outs: ["verdict.md": {cache: false}]
  finetune:
    foreach: ${curriculum}
    do:
      cmd: mkdir -p models && cat base.txt > models/${key}
      deps: [base.txt]
      outs: ["models/${key}"]
  pretrain:
    cmd: echo ${learning_rate} > base.txt
    params: [learning_rate]
    outs: [base.txt]
"""


def dvc(project: Path, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=project, check=True, capture_output=True
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / "params.yaml").write_text("learning_rate: 1\ncurriculum: {chitchat: {after: base}}")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    dvc(tmp_path, "init", "-q")
    return tmp_path


def test_stages_come_in_an_order_in_which_they_can_run(project: Path) -> None:
    graph = read_graph(project)
    assert dict(graph.parents) == {
        "pretrain": (),
        "finetune@chitchat": ("pretrain",),
        "gate": ("finetune@chitchat",),
    }
    assert list(graph.parents) == ["pretrain", "finetune@chitchat", "gate"]
    assert graph.output("finetune@chitchat", "models/*") == Path("models/chitchat")
    assert graph.output("gate", "*.json") == Path("verdict.json")


def test_an_output_must_be_one(project: Path) -> None:
    graph = read_graph(project)
    with pytest.raises(ValueError, match=r"`gate` must write one output like `\*\.csv`"):
        graph.output("gate", "*.csv")
    with pytest.raises(ValueError, match=r"verdict\.md"):
        graph.output("gate", "verdict.*")


def test_stale_is_what_changed_and_what_follows_may_change(project: Path) -> None:
    dvc(project, "repro")
    assert read_graph(project).stale == set()
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate: 1", "learning_rate: 2"))
    graph = read_graph(project)
    assert graph.stale == {"pretrain"}
    assert graph.may_change("gate")
    dvc(project, "repro", "pretrain", "finetune@chitchat")
    assert not read_graph(project).may_change("finetune@chitchat")


def test_reading_while_a_stage_runs_names_who_is_in_the_way(project: Path) -> None:
    slow = STAGES.replace("echo ${learning_rate}", "touch begun && sleep 30 && echo")
    (project / "dvc.yaml").write_text(slow)
    command = [sys.executable, "-m", "dvc", "repro", "-s", "pretrain"]
    running = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
    try:
        while not (project / "begun").exists():
            assert running.poll() is None
        with pytest.raises(ValueError, match=rf"another run.*PID {running.pid}"):
            read_graph(project)
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("left", ["", '{"read": {"ba'])
def test_a_list_of_readers_that_a_full_disk_cut_off_is_in_nobodys_way(
    project: Path, left: str
) -> None:
    before = read_graph(project)
    (project / ".dvc" / "tmp" / "rwlock").write_text(left)
    assert read_graph(project) == before
    dvc(project, "repro")
    assert not read_graph(project).stale


def test_a_number_that_another_process_has_since_is_in_nobodys_way(project: Path) -> None:
    """As after a restart of the machine: what wrote the list was killed."""
    before = read_graph(project)
    entry = {"pid": os.getpid(), "cmd": "dvc repro"}
    path, base = project / ".dvc" / "tmp" / "rwlock", str(project / "base.txt")
    path.write_text(json.dumps({"write": {base: entry}}))
    with pytest.raises(ProjectBusy):
        read_graph(project)
    path.write_text(json.dumps({"write": {base: entry}, "read": {base: [entry]}}))
    yesterday = time.time() - 86_400
    os.utime(path, (yesterday, yesterday))
    assert read_graph(project) == before
    assert str(os.getpid()) not in path.read_text()
    dvc(project, "repro")


def test_a_graph_that_dvc_cannot_read_is_one_line(project: Path) -> None:
    (project / "dvc.yaml").write_text(STAGES.replace("cmd: cat", "cmd: [cat"))
    with pytest.raises(ValueError, match=r"dvc\.yaml") as caught:
        read_graph(project)
    assert "\n" not in str(caught.value)


def test_folders_in_which_nothing_can_run_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no dvc\.yaml here; change to the project's folder"):
        check_project(tmp_path)
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").touch()
    with pytest.raises(ValueError, match="not a git repository; run `git init`"):
        check_project(tmp_path)
    (tmp_path / ".git").mkdir()
    with pytest.raises(ValueError, match=r"no \.dvc folder; run `dvc init`"):
        check_project(tmp_path)
