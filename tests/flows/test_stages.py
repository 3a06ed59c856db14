"""Stages under the flow: in parallel, only what is stale, and ended together."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.stages import StageResult, run_stages
from tasks.faults import is_for_people
from tasks.graph import Graph, ProjectBusy, read_graph
from tasks.processes import Processes, StageError

MakeProject = Callable[[str], Path]

THREE_INGESTS = """
stages:
  ingest:
    foreach: ${sources}
    do:
      cmd: >-
        echo reading ${item} && touch ${item}.reading
        && timeout 60 sh -c 'until test $(ls *.reading | wc -l) = 3; do sleep 0.1; done'
        && echo ${item} > ${item}.txt
      outs: ["${item}.txt"]
  gate:
    cmd: cat chitchat.txt support.txt assistant.txt > verdict.txt
    deps: [chitchat.txt, support.txt, assistant.txt]
    outs: [verdict.txt]
"""

ONE_FAILS = """
stages:
  ingest:
    cmd: "echo one line; echo 'error: file.csv:3: no text; add one' >&2; exit 2"
    outs: [records.txt]
  pretrain:
    cmd: sleep 1 && echo base > base.txt
    outs: [base.txt]
  encode:
    cmd: cat records.txt base.txt > tokens.txt
    deps: [records.txt, base.txt]
    outs: [tokens.txt]
"""

LONG = """
stages:
  pretrain:
    cmd: >-
      python -c "import time, pathlib;
      exec('try:\\n pathlib.Path(\\'started\\').touch(); time.sleep(60)\\nexcept KeyboardInterrupt:\\n pathlib.Path(\\'saved\\').touch(); raise SystemExit(130)')"
    outs: [base.txt]
"""  # noqa: E501


@flow(name="stages", task_runner=ThreadPoolTaskRunner[Any](max_workers=4))
def stages(project: Path, terminal: bool = False, graph: Graph | None = None) -> list[StageResult]:
    return run_stages(graph or read_graph(project), Processes(project, terminal=terminal))


@pytest.mark.usefixtures("server")
class TestRunStages:
    def test_independent_stages_overlap_and_then_nothing_runs(
        self, make_project: MakeProject
    ) -> None:
        project = make_project(THREE_INGESTS)
        results = stages(project)  # each ingest waits for the two others: in turn they would fail
        assert {result.outcome for result in results} == {"ran"}
        assert results[-1].stage == "gate"
        assert (project / "verdict.txt").read_text() == "chitchat\nsupport\nassistant\n"
        assert {result.outcome for result in stages(project)} == {"unchanged"}

    def test_what_follows_a_failed_stage_does_not_run(self, make_project: MakeProject) -> None:
        project = make_project(ONE_FAILS)
        with pytest.raises(StageError) as caught:
            stages(project)
        assert (caught.value.stage, caught.value.status) == ("ingest", 2)
        assert caught.value.lines == ("one line", "error: file.csv:3: no text; add one")
        assert caught.value.errors == ("file.csv:3: no text; add one",)
        assert (project / "base.txt").exists(), "what ran beside it finishes"
        assert not (project / "tokens.txt").exists()
        assert read_graph(project).stale == {"ingest", "encode"}

    def test_another_run_at_a_stage_is_told_to_people(self, make_project: MakeProject) -> None:
        project = make_project(ONE_FAILS)
        graph = read_graph(project)
        held = {str(project / "records.txt"): {"pid": os.getpid(), "cmd": "dvc repro"}}
        (project / ".dvc" / "tmp" / "rwlock").write_text(json.dumps({"write": held, "read": {}}))
        with pytest.raises(ProjectBusy, match=f"PID {os.getpid()}") as caught:
            stages(project, graph=graph)
        assert is_for_people(caught.value)
        assert (project / "base.txt").exists(), "what ran beside it finishes"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interruption_reaches_the_stage_and_the_next_run_goes_on(
        self, make_project: MakeProject, number: signal.Signals
    ) -> None:
        project = make_project(LONG)

        def interrupt(_number: int, _frame: object) -> None:
            raise KeyboardInterrupt

        def press() -> None:
            while not (project / "started").exists():
                time.sleep(0.05)
            os.kill(os.getpid(), number)

        before = signal.signal(number, interrupt)
        presser = threading.Thread(target=press)
        presser.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                stages(project)
        finally:
            presser.join()
            signal.signal(number, before)
        assert (project / "saved").exists()
        assert read_graph(project).stale == {"pretrain"}
