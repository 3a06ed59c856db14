"""Lifelong: what people said of the replies becomes the next round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from dialogue.config import Params, load_params
from flows import rounds
from flows.release import release
from flows.train import told_busy, train
from tasks import releases
from tasks.feedback import TooLittle, feedback
from tasks.freshness import current_graph
from tasks.graph import Graph, ProjectBusy
from tasks.serve import REPLIES


@flow(name="lifelong")
def lifelong() -> dict[str, Any]:
    """Harvest feedback, append it to the curriculum, train that round, and release its model.

    A round that was begun and did not end is finished first; new feedback waits for the next one.

    Returns:
        What `train` returned, under `release` what `release` did, under `round` the round's name,
        and under `harvested` whether it was made now, of feedback; `{"round": None, "reason": …}`
        where there is too little feedback for a round, and with `"outcome": "busy"` where another
        run is going on.

    Raises:
        ValueError: there is no champion yet, its model is not the one on disk, or the feedback
            cannot be read.
        StageError: a stage failed.
    """
    project = Path.cwd()
    params = load_params(project / rounds.PARAMS)
    try:
        graph = current_graph(project, params)
        harvested = not rounds.is_under_way(project, graph)
        if harvested:
            _harvest(project, params, graph)
        trained = train()
    except TooLittle as little:
        return {"round": None, "reason": str(little)}
    except ProjectBusy as busy:
        trained = told_busy(busy)
    if "pipeline" not in trained:
        return {"round": None, **trained}
    released = release(trained["pipeline"])
    candidate = load_params(project / rounds.PARAMS).candidate
    return {"round": candidate, "harvested": harvested, **trained, "release": released}


def _harvest(project: Path, params: Params, graph: Graph) -> None:
    """One round more in params.yaml, where there is enough to learn."""
    champion = releases.champion(releases.open_store(project))
    if champion is None:
        raise ValueError("there is no champion yet to continue from; `perennial run` makes one")
    after = rounds.champion_domain(project, params, graph, champion)
    lineage = params.lineage(after)
    domain = rounds.next_feedback_round(params)
    folder = REPLIES.parent
    source = folder / f"{domain}.jsonl"

    @task(name="feedback", task_run_name=domain, cache_policy=NO_CACHE)
    def harvest() -> TooLittle | None:
        """Too little to learn is an answer: the task that brings it has done its work."""
        try:
            feedback(
                params,
                domain=domain,
                replies=project / REPLIES,
                source=project / source,
                report=project / folder / f"{domain}.json",
                learned=rounds.feedback_sources(project, params, lineage),
                tried=rounds.feedback_sources(
                    project, params, params.ingest.sources.keys() - set(lineage)
                ),
                fingerprints=project / rounds.fingerprints_folder(graph, after),
            )
        except TooLittle as little:
            return little
        return None

    if little := harvest():
        raise little
    rounds.append_round(project, domain, source, after)
