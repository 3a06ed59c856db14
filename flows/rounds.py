"""A round of the lifelong loop: whom the candidate must beat, what the curriculum gains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialogue.config import Params, load_params
from dialogue.manifest import read_manifest
from tasks import releases
from tasks._verdict import read_verdict
from tasks.graph import Graph
from tasks.releases import Release, Store
from tasks.settings import append_entry, edited_params

PARAMS = "params.yaml"
FEEDBACK = "feedback_"


def begin_round(project: Path, graph: Graph) -> bool:
    """Write the champion's digest into the candidate's lesson, where it must beat another one.

    DVC then evaluates and judges the candidate again, and nothing else. A candidate that reigns
    already keeps the opponent that it beat, for nobody is better than himself; without a champion
    there is none. One that is about to be trained again counts as new: whether it is turns out
    afterwards, so ask before the stages run, and again when they have.

    Returns:
        Whether params.yaml changed, and with it what is stale.

    Raises:
        ValueError: params.yaml is not valid.
    """
    params = load_params(project / PARAMS)
    store = releases.open_store(project)
    champion = releases.champion(store)
    against = params.curriculum[params.candidate].against
    if champion is None:
        wanted = None
    elif champion.digest == _candidate_digest(project, graph, params.candidate):
        wanted = _beaten(store, champion) if against == champion.digest else against
    else:
        wanted = champion.digest
    if wanted == against:
        return False
    with edited_params(project / PARAMS) as settings:
        lesson = settings["curriculum"][params.candidate]
        if wanted is None:
            del lesson["against"]
        else:
            lesson["against"] = wanted
    return True


def next_feedback_round(params: Params) -> str:
    """The name of the round that learns from feedback next: `feedback_1`, `feedback_2`, …."""
    return f"{FEEDBACK}{1 + max(map(_round_number, params.curriculum), default=0)}"


def append_round(project: Path, domain: str, source: Path, champion: Release) -> None:
    """Let the curriculum go on from the champion with the dialogues in `source`.

    Args:
        project: the project's root.
        domain: the round's name.
        source: its dialogues, a `messages` file, relative to the project.
        champion: who reigns; a candidate that was rejected since is a branch that ends there.

    Raises:
        ValueError: the domain that the champion learned last is no longer in the curriculum.
    """
    after = champion.verdict["candidate"]["domain"]
    with edited_params(project / PARAMS) as settings:
        if after not in settings["curriculum"]:
            raise ValueError(
                f"curriculum: the champion learned `{after}` last, which is not there any more; "
                "put it back, for the next round continues from it"
            )
        append_entry(settings["curriculum"], domain, {"after": after}, inline=True)
        entry = {
            "kind": "file",
            "path": source.as_posix(),
            "format": "messages",
            "licence": "what users said here",
            "limit": None,
        }
        append_entry(settings["ingest"]["sources"], domain, entry, inline=False)


def candidate_folder(graph: Graph, domain: str) -> Path:
    """Where fine-tuning writes the model that learned `domain`, relative to the project."""
    return graph.output(f"finetune@{domain}", "models/*")


def verdict_of(project: Path, graph: Graph) -> Mapping[str, Any]:
    """The verdict that the gate wrote.

    Raises:
        ValueError: there is none yet, or it is damaged.
    """
    return read_verdict(project / graph.output("gate", "*.json"))


def _candidate_digest(project: Path, graph: Graph, domain: str) -> str | None:
    """The digest of the model that learned `domain`; None where it is to be made first."""
    folder = project / candidate_folder(graph, domain)
    if graph.may_change(f"finetune@{domain}") or not folder.is_dir():
        return None
    return str(read_manifest(folder)["digest"])


def _beaten(store: Store, champion: Release) -> str | None:
    """Whom the champion was judged against when it became champion; the journal knows."""
    for entry in reversed(releases.journal(store)):
        if entry.digest == champion.digest and entry.action in releases.MOVES and entry.verdict:
            beaten: str | None = entry.verdict["champion"]
            return beaten
    return None


def _round_number(domain: str) -> int:
    number = domain.removeprefix(FEEDBACK)
    return int(number) if domain.startswith(FEEDBACK) and number.isdecimal() else 0
