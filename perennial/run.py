"""`perennial run`: everything that is stale, up to the champion."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perennial.project import enter_project

if TYPE_CHECKING:
    from rich.console import Console

    from dialogue.config import Params
    from tasks.processes import StageError

_FULL_BYTES = 2**20
# Of a candidate by whether it was champion before the run, and is now.
_OUTCOMES = {
    (False, False): "refused",
    (False, True): "promoted",
    (True, False): "replaced",
    (True, True): "reigns",
}


def run_command(
    feedback: Annotated[
        bool, typer.Option("--feedback", help="first make a round of what people said of replies")
    ] = False,
) -> None:
    """Train what is stale, judge the candidate and, where the verdict allows it, promote it.

    Stages run in parallel where they can; what did not change comes from the cache. Interrupt it
    whenever you like: the next run goes on.
    """
    # Imported in here, as in every command: `perennial --help` answers at once.
    from perennial.profile import check_profile
    from perennial.summary import print_summary
    from perennial.terminal import open_console
    from tasks.processes import StageError
    from tasks.stores import check_tracking

    project, params = enter_project()
    check_profile(project, params.profile)
    check_tracking()
    console = open_console()
    start = time.monotonic()
    try:
        ended = None if feedback else _nothing_to_do(project, params)
        ended = ended or _run_flows(project, console, feedback)
    except KeyboardInterrupt:
        console.print("interrupted; `perennial run` goes on from here")
        raise
    except StageError as error:
        _check_space(project)
        raise typer.Exit(_report(error)) from None
    except Exception:
        _check_space(project)
        raise
    for part in (ended, ended.get("release", {})):
        if part.get("outcome") in ("busy", "stale"):
            raise ValueError(part["reason"])
    if ended.get("round", "") is None:
        console.print(ended["reason"], markup=False)
        return
    print_summary(console, project, ended, time.monotonic() - start)
    if not ended.get("harvested", True):
        console.print(
            f"{ended['round']} was under way and came first; "
            "`perennial run --feedback` makes a round of feedback when it has come to its end."
        )


def _nothing_to_do(project: Path, params: Params) -> dict[str, Any] | None:
    """The end of the last run, where nothing changed since: found without starting Prefect."""
    from flows import rounds
    from tasks import releases
    from tasks.freshness import current_graph

    graph = current_graph(project, params)
    if rounds.begin_round(project, graph) or graph.stale:
        return None
    verdict = rounds.verdict_of(project, graph)
    store = releases.open_store(project)
    known = releases.release_of(store, verdict["candidate"]["digest"])
    champion = releases.champion(store)
    if known is None or known.verdict != verdict:
        return None
    reigned = champion is not None and champion.digest == known.digest
    if not reigned and verdict["verdict"] == "PROMOTE":
        return None
    alias = _reconcile(project, params)
    champion = releases.champion(store)
    reigns = champion is not None and champion.digest == known.digest
    release = {
        "version": known.version,
        "digest": known.digest,
        "created": False,
        "verdict": verdict["verdict"],
        "outcome": _OUTCOMES[reigned, reigns],
        "reason": verdict["sentence"],
        "alias": alias,
    }
    stages = [{"stage": name, "outcome": "unchanged", "seconds": 0.0} for name in graph.parents]
    return {"stages": stages, "verdict": verdict, "release": release}


def _reconcile(project: Path, params: Params) -> str:
    """An alias that was moved in MLflow's UI meanwhile is a request; its answer, or nothing."""
    import functools

    from tasks.promote import reconcile
    from tasks.serve import smoke

    return reconcile(params, project, smoke=functools.partial(smoke, params)).sentence


def _run_flows(project: Path, console: Console, feedback: bool) -> dict[str, Any]:
    """Train, then release, as Prefect flows; or, with feedback, the flow that chains all three."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from flows.prefect_server import prefect_server
    from perennial.display import shown_stages

    console.print("starting …", style="dim")
    with prefect_server(project):
        from flows.lifelong import lifelong
        from flows.release import release
        from flows.stages import EVENTS
        from flows.train import train

        with shown_stages(console, EVENTS):
            if feedback:
                return lifelong()
            trained = train()
            if "pipeline" not in trained:
                return trained
            console.print("releasing: registration, smoke test in a real server, promotion …")
            return {**trained, "release": release(trained["pipeline"])}


def _check_space(project: Path) -> None:
    """Where the disk is full, that is the fault, whichever service stumbled over it first."""
    if shutil.disk_usage(project).free < _FULL_BYTES:
        raise OSError(
            f"{project}: its disk is full; make room, and `perennial run` goes on from here"
        )


def _report(error: StageError) -> int:
    """Say on standard error what failed; returns the exit status."""
    if error.errors:
        for line in error.errors:
            sys.stderr.write(f"error: {error.stage}: {line}\n")
        return 2
    sys.stderr.write(f"error: {error}; its last lines:\n")
    for line in error.lines:
        sys.stderr.write(f"  {line}\n")
    return 1
