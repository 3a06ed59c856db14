"""DVC's stages as Prefect tasks, each started as soon as its parents are done."""

from __future__ import annotations

import functools
import graphlib
import logging
import queue
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger

from tasks.graph import Graph, ProjectBusy
from tasks.processes import Listener, Outcome, Processes, StageError

Event = Literal["started", "line", "progress", "ran", "restored", "unchanged", "failed"]

EVENTS = logging.getLogger(__name__)
"""Every event of a stage, as a log record with the attributes `stage` and `event`: what a
terminal shows. `progress` comes at the level DEBUG, several times a second."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """What became of one stage; `seconds` is wall time."""

    stage: str
    outcome: Outcome
    seconds: float


def run_stages(graph: Graph, processes: Processes) -> list[StageResult]:
    """Run what is stale, inside a flow: one Prefect task per stage, in parallel where it can be.

    DVC alone decides what is fresh. A stage that neither changed itself nor follows one that ran
    is not even asked about; its task is there all the same, and says so.

    Raises:
        StageError: a stage failed. What was running beside it has finished; nothing that was
            waiting was started.
        ProjectBusy: another run is at one of the stages; else as before.
        BaseException: an interruption; the running stages were ended first.
    """
    order = graphlib.TopologicalSorter(graph.parents)
    order.prepare()
    done: queue.SimpleQueue[str] = queue.SimpleQueue()
    futures: dict[str, PrefectFuture[StageResult]] = {}
    results: dict[str, StageResult] = {}
    failures: list[StageError | ProjectBusy] = []
    try:
        while order.is_active():
            for stage in () if failures else order.get_ready():
                futures[stage] = _submit(stage, graph, processes, futures, results)
                futures[stage].add_done_callback(functools.partial(_put, done, stage))
            if len(futures) == len(results) + len(failures):
                break
            stage = done.get()
            try:
                results[stage] = futures[stage].result()
                order.done(stage)
            except (StageError, ProjectBusy) as error:
                failures.append(error)
    except BaseException:
        processes.stop()
        raise
    if failures:
        raise failures[0]
    return list(results.values())


def _submit(
    stage: str,
    graph: Graph,
    processes: Processes,
    futures: Mapping[str, PrefectFuture[StageResult]],
    results: Mapping[str, StageResult],
) -> PrefectFuture[StageResult]:
    parents = graph.parents[stage]
    follows = any(results[parent].outcome != "unchanged" for parent in parents)
    run = _stage_task(stage, follows or stage in graph.stale, stage in graph.forced, processes)
    future: PrefectFuture[StageResult] = run.submit(wait_for=[futures[name] for name in parents])
    return future


def _put(done: queue.SimpleQueue[str], stage: str, _future: object) -> None:
    done.put(stage)


def _stage_task(stage: str, stale: bool, forced: bool, processes: Processes) -> Any:
    """The Prefect task of a stage; its name is the stage's."""

    @task(name=stage, task_run_name=stage, cache_policy=NO_CACHE)
    def run() -> StageResult:
        logger = get_run_logger()
        if not stale:
            logger.info("unchanged")
            _tell(stage, "unchanged")
            return StageResult(stage, "unchanged", 0.0)

        def line(text: str) -> None:
            logger.info("%s", text)
            _tell(stage, "line", text)

        def progress(text: str) -> None:
            _tell(stage, "progress", text, logging.DEBUG)

        _tell(stage, "started")
        start = time.monotonic()
        try:
            outcome = processes.run(stage, Listener(line, progress), force=forced)
        except (StageError, ProjectBusy) as error:
            _tell(stage, "failed", str(error))
            raise
        seconds = time.monotonic() - start
        logger.info("%s in %.1f s", outcome, seconds)
        _tell(stage, outcome, f"{seconds:.1f} s")
        return StageResult(stage, outcome, seconds)

    return run


def _tell(stage: str, event: Event, text: str = "", level: int = logging.INFO) -> None:
    EVENTS.log(level, "%s", text, extra={"stage": stage, "event": event})
