"""Train: from raw dialogues to the verdict, whatever of it is stale."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.logging import get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner

from dialogue.config import load_params
from flows import rounds
from flows.stages import EVENTS, StageResult, run_stages
from tasks import tracking
from tasks.freshness import current_graph
from tasks.graph import Graph, ProjectBusy, read_graph
from tasks.processes import Processes

# A stage mostly waits for its process; four of them keep two cores busy in the graph's wide part.
_MAX_PARALLEL = max(4, os.cpu_count() or 1)
_MARKS = {True: "passed", False: "failed", None: "does not count"}


# Prefect annotates flows with the one kind of task runner whose futures are of the base class.
@flow(name="train", task_runner=ThreadPoolTaskRunner(max_workers=_MAX_PARALLEL))  # type: ignore[arg-type]
def train() -> dict[str, Any]:
    """Bring the project in the working directory up to date, up to the verdict.

    Returns:
        `{"stages": [{"stage", "outcome", "seconds"}], "verdict": …, "pipeline": …}`; `pipeline` is
        the key of the parent run in MLflow, or None where nothing was stale.
        `{"outcome": "busy", "reason"}` where another run is going on.

    Raises:
        ValueError: the project cannot be run as it stands.
        StageError: a stage failed.
    """
    try:
        return _train(Path.cwd())
    except ProjectBusy as busy:
        return told_busy(busy)


def told_busy(busy: ProjectBusy) -> dict[str, Any]:
    """How a flow ends that another run stands in the way of: with an answer, not with a failure."""
    get_run_logger().warning("busy: %s", busy)
    return {"outcome": "busy", "reason": str(busy)}


def _train(project: Path) -> dict[str, Any]:
    params = load_params(project / rounds.PARAMS)
    graph = current_graph(project, params)
    if rounds.begin_round(project, graph):
        graph = current_graph(project, params)
    with _pipeline(project, graph) as pipeline:
        results = _run(project, graph, pipeline)
        if pipeline and rounds.begin_round(project, read_graph(project)):
            # What was trained turned out to be the champion itself, made once more.
            results |= _changed(_run(project, read_graph(project), pipeline))
    verdict = rounds.verdict_of(project, graph)
    _publish(verdict)
    _link(project, graph.output("report", "*.html"), verdict["candidate"]["digest"])
    stages = [asdict(result) for result in results.values()]
    return {"stages": stages, "verdict": dict(verdict), "pipeline": pipeline}


@contextlib.contextmanager
def _pipeline(project: Path, graph: Graph) -> Iterator[str | None]:
    """A parent run in MLflow for the block's stages; None where nothing is stale."""
    if not graph.stale:
        yield None
        return
    key = tracking.start_pipeline(project, "train")
    try:
        yield key
    except BaseException as error:
        # Told is what broke it; a later pipeline closes a run whose end could not be written.
        with contextlib.suppress(tracking.Fault):
            failed = isinstance(error, Exception) and not isinstance(error, ProjectBusy)
            tracking.finish_pipeline(project, key, "FAILED" if failed else "KILLED")
        raise
    tracking.finish_pipeline(project, key, "FINISHED", rounds.verdict_of(project, graph))


def _run(project: Path, graph: Graph, pipeline: str | None) -> dict[str, StageResult]:
    terminal = EVENTS.isEnabledFor(logging.DEBUG)
    environment = {} if pipeline is None else {tracking.PIPELINE_VARIABLE: pipeline}
    results = run_stages(graph, Processes(project, terminal, environment))
    return {result.stage: result for result in results}


def _changed(results: Mapping[str, StageResult]) -> dict[str, StageResult]:
    return {name: result for name, result in results.items() if result.outcome != "unchanged"}


def _publish(verdict: Mapping[str, Any]) -> None:
    """Metrics and verdict as artifacts of the flow run, for Prefect's pages."""
    metrics = verdict["metrics"]
    names = sorted({name for values in metrics.values() for name in values})
    rows = [
        {"metric": name} | {domain: _number(values.get(name)) for domain, values in metrics.items()}
        for name in names
    ]
    create_table_artifact(table=rows, key="metrics", description="The candidate by domain")
    rules = [
        f"| {_MARKS[rule['passed']]} | {rule['rule']} | {rule['slice']} | {rule['reason']} |"
        for rule in verdict["rules"]
    ]
    table = ["| | rule | domain | reason |", "|---|---|---|---|", *rules]
    markdown = "\n".join([f"# {verdict['verdict']}", "", verdict["sentence"], "", *table])
    create_markdown_artifact(markdown=markdown, key="verdict", description=verdict["sentence"])


def _link(project: Path, page: Path, candidate: str) -> None:
    """The report card among the flow run's artifacts: in MLflow, or else as the file it is."""
    run = tracking.find_run(project, {"candidate": candidate, "stage": "report"})
    link = tracking.run_link(project, run, page.name) if run else (project / page).as_uri()
    description = f"The candidate's report card; as a file: {page}"
    create_link_artifact(link, link_text=page.name, key="report-card", description=description)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
