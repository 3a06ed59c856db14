"""Release: the judged candidate becomes a version and, where its verdict allows it, champion."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from dialogue.config import Params, load_params
from flows import rounds
from flows.train import told_busy, train
from tasks import tracking
from tasks._exam_files import ROWS
from tasks._origin import user
from tasks.graph import ProjectBusy, read_graph
from tasks.promote import ApprovalNeeded, Refused, promote, reconcile
from tasks.register import Registration, register
from tasks.releases import Conflict, Release
from tasks.serve import smoke

T = TypeVar("T")

_STALE = "what the verdict rests on has changed since; `perennial run` judges anew"


@flow(name="release")
def release(pipeline: str | None = None) -> dict[str, Any]:
    """Register the candidate of the project in the working directory, and promote it if it may be.

    Where another model became champion since the verdict, the candidate is judged again, once,
    against that one. A server that runs follows the champion by itself.

    Args:
        pipeline: key of the parent run in MLflow that the registration belongs to, as `train`
            returned it; None: a parent of its own.

    Returns:
        `{"version", "digest", "created", "verdict", "outcome", "reason"}`; the outcome is
        `promoted`, `reigns` (it was champion already), `waits` (for a person's approval) or
        `refused`. `{"outcome": "busy", "reason"}` where another run is going on: the next release
        finds what it leaves; `"stale"` where what the verdict rests on has changed since. `alias`
        says what became of one that was moved by hand.

    Raises:
        ValueError: there is no verdict, or it does not belong to the files as they lie there.
        Conflict: it was judged again, and again somebody was faster.
    """
    project = Path.cwd()
    params = load_params(project / rounds.PARAMS)
    answer = _step(
        "reconcile", lambda: reconcile(params, project, smoke=functools.partial(smoke, params))
    )
    alias = {"alias": answer.sentence} if answer.sentence else {}
    return _judged_anew(params, project, pipeline) | alias


def _judged_anew(params: Params, project: Path, pipeline: str | None) -> dict[str, Any]:
    """Release; once more where the candidate has to be judged again."""
    try:
        return _release(params, project, pipeline)
    except Conflict as conflict:
        get_run_logger().warning("judging again: %s", conflict)
    again = train()
    if "pipeline" not in again:
        return again
    return _release(load_params(project / rounds.PARAMS), project, again["pipeline"])


def _release(params: Params, project: Path, pipeline: str | None) -> dict[str, Any]:
    with _within(pipeline):
        registration = _step("register", lambda: _register(params, project))
    if isinstance(registration, ProjectBusy):
        return told_busy(registration)
    if registration is None:
        get_run_logger().warning("stale: %s", _STALE)
        return {"outcome": "stale", "reason": _STALE}
    candidate = registration.release
    outcome = _step("promote", lambda: _promote(params, project, candidate))
    return {
        "version": candidate.version,
        "digest": candidate.digest,
        "created": registration.created,
        "verdict": candidate.verdict["verdict"],
        **outcome,
    }


@contextlib.contextmanager
def _within(pipeline: str | None) -> Iterator[None]:
    """Runs that are tracked in the block belong to this pipeline."""
    if pipeline is not None:
        os.environ[tracking.PIPELINE_VARIABLE] = pipeline
    try:
        yield
    finally:
        os.environ.pop(tracking.PIPELINE_VARIABLE, None)


def _register(params: Params, project: Path) -> Registration | ProjectBusy | None:
    """None where the verdict is stale. Another run is an answer, too, as a refusal is."""
    try:
        graph, domain = read_graph(project), params.candidate
    except ProjectBusy as busy:
        return busy
    page = graph.output("report", "*.html")
    if graph.may_change("report"):
        return None
    return register(
        params,
        project,
        model=project / rounds.candidate_folder(graph, domain),
        verdict=project / graph.output("gate", "*.json"),
        evidence=project / graph.output("gate", "evidence") / ROWS,
        data=project / graph.output(f"validate@{domain}", "data/valid/*").parent,
        page=project / page,
        content=project / graph.output("report", "*.json"),
    )


def _promote(params: Params, project: Path, candidate: Release) -> dict[str, str]:
    """A refusal is an answer: the task that brings it has done its work."""
    try:
        promotion = promote(
            params,
            project,
            digest=candidate.digest,
            smoke=functools.partial(smoke, params),
            actor=user(),
        )
    except ApprovalNeeded as needed:
        return {"outcome": "waits", "reason": str(needed)}
    except Refused as refusal:
        return {"outcome": "refused", "reason": str(refusal)}
    outcome = "promoted" if promotion.changed else "reigns"
    return {"outcome": outcome, "reason": candidate.verdict["sentence"]}


def _step(name: str, work: Callable[[], T]) -> T:
    """Do it here and now, as a Prefect task of this name."""

    @task(name=name, task_run_name=name, cache_policy=NO_CACHE)
    def step() -> T:
        return work()

    return step()
