"""Lifelong: what people said of the replies becomes the next round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from dialogue.config import FileSource, Params, load_params
from flows import rounds
from flows.release import release
from flows.train import train
from tasks import releases
from tasks.feedback import TooLittle, feedback
from tasks.graph import read_graph
from tasks.serve import REPLIES


@flow(name="lifelong")
def lifelong() -> dict[str, Any]:
    """Harvest feedback, append it to the curriculum, train that round, and release its model.

    A round that was begun and did not end is finished first; new feedback waits for the next one.

    Returns:
        What `train` returned, under `release` what `release` did, and under `round` the round's
        name; `{"round": None, "reason": …}` where there is too little feedback for a round.

    Raises:
        ValueError: there is no champion yet, or the feedback cannot be read.
        StageError: a stage failed.
    """
    project = Path.cwd()
    params = load_params(project / rounds.PARAMS)
    begun = params.candidate.startswith(rounds.FEEDBACK) and bool(read_graph(project).stale)
    if not begun:
        try:
            _harvest(project, params)
        except TooLittle as little:
            return {"round": None, "reason": str(little)}
    trained = train()
    released = release(trained["pipeline"])
    candidate = load_params(project / rounds.PARAMS).candidate
    return {"round": candidate, **trained, "release": released}


def _harvest(project: Path, params: Params) -> None:
    """One round more in params.yaml, where there is enough to learn."""
    champion = releases.champion(releases.open_store(project))
    if champion is None:
        raise ValueError("there is no champion yet to continue from; `perennial run` makes one")
    domain = rounds.next_feedback_round(params)
    folder = REPLIES.parent
    source = folder / f"{domain}.jsonl"
    earlier = [
        project / known.path
        for name, known in params.ingest.sources.items()
        if name.startswith(rounds.FEEDBACK) and isinstance(known, FileSource)
    ]

    @task(name="feedback", task_run_name=domain, cache_policy=NO_CACHE)
    def harvest() -> TooLittle | None:
        """Too little to learn is an answer: the task that brings it has done its work."""
        try:
            feedback(
                params,
                replies=project / REPLIES,
                source=project / source,
                report=project / folder / f"{domain}.json",
                earlier=earlier,
            )
        except TooLittle as little:
            return little
        return None

    if little := harvest():
        raise little
    rounds.append_round(project, domain, source, champion)
