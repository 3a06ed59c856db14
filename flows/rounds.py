"""A round of the lifelong loop: whom the candidate must beat, what the curriculum gains."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dialogue.config import FileSource, Params, load_params
from dialogue.manifest import read_manifest
from tasks import releases
from tasks._verdict import read_verdict
from tasks.graph import Graph
from tasks.releases import Release, Store
from tasks.settings import append_entry, edited_params

PARAMS = "params.yaml"
_FEEDBACK = "feedback_"


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
    elif champion.digest == _model_digest(project, graph, params.candidate):
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
    """The name of the round that learns from feedback next: `feedback_1`, `feedback_2`, ….

    One that was taken out of the curriculum keeps its number, and its file.
    """
    known = {*params.curriculum, *params.ingest.sources}
    return f"{_FEEDBACK}{1 + max(map(_round_number, known), default=0)}"


def is_under_way(project: Path, graph: Graph) -> bool:
    """Whether the candidate's round was begun and has not come to its end.

    It ends with a verdict on record, and one of PROMOTE with a reign or a refusal: until then the
    candidate must not be replaced.

    Raises:
        ValueError: the verdict is damaged.
    """
    if graph.stale:
        return True
    verdict, store = verdict_of(project, graph), releases.open_store(project)
    digest = verdict["candidate"]["digest"]
    known = releases.release_of(store, digest)
    if known is None or known.verdict != verdict:
        return True
    ends = (*releases.MOVES, "refuse")
    return verdict["verdict"] == "PROMOTE" and not any(
        entry.digest == digest and entry.action in ends for entry in releases.journal(store)
    )


def champion_domain(project: Path, params: Params, graph: Graph, champion: Release) -> str:
    """The domain that the next round comes after: its model on disk is the champion.

    Raises:
        ValueError: the domain is no longer in the curriculum, its model is another one, or it is
            about to be made again.
    """
    after = str(champion.verdict["candidate"]["domain"])
    if after not in params.curriculum:
        raise ValueError(
            f"curriculum: the champion learned `{after}` last, which is not there any more; "
            "put it back, for the next round continues from it"
        )
    found = _model_digest(project, graph, after)
    if found is None:
        raise ValueError(
            f"curriculum.{after}: what the champion {champion.name} was made of has changed, or "
            "its model is missing, and a round of feedback would continue from another one; "
            "`perennial run` first, or undo the change (`perennial status` names the stages)"
        )
    if found != champion.digest:
        other = releases.release_of(releases.open_store(project), found)
        name = other.name if other else found[:12]
        raise ValueError(
            f"{candidate_folder(graph, after)}: holds {name}, but {champion.name} is champion, and "
            "a round of feedback continues from the champion; go back to the data and settings of "
            f"{champion.name} (git) and `perennial run`, or promote the other one"
        )
    return after


def feedback_sources(project: Path, params: Params, domains: Collection[str]) -> list[Path]:
    """The sources of the feedback rounds among some domains, in the order of their sources.

    Those of a round that was taken out of the curriculum may be gone; then they are left out.
    """
    paths = {
        name: project / source.path
        for name, source in params.ingest.sources.items()
        if name in domains and _round_number(name) and isinstance(source, FileSource)
    }
    return [path for name, path in paths.items() if name in params.curriculum or path.is_file()]


def append_round(project: Path, domain: str, source: Path, after: str) -> None:
    """Let the curriculum go on with the dialogues in `source`.

    Args:
        project: the project's root.
        domain: the round's name.
        source: its dialogues, a `messages` file, relative to the project.
        after: the domain that the champion learned last; a candidate that was rejected since is a
            branch that ends there.
    """
    with edited_params(project / PARAMS) as settings:
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


def fingerprints_folder(graph: Graph, domain: str) -> Path:
    """What is remembered of `domain` and of all before it, relative to the project."""
    return graph.output(f"validate@{domain}", "data/fingerprints/*")


def verdict_of(project: Path, graph: Graph) -> Mapping[str, Any]:
    """The verdict that the gate wrote.

    Raises:
        ValueError: there is none yet, or it is damaged.
    """
    return read_verdict(project / graph.output("gate", "*.json"))


def _model_digest(project: Path, graph: Graph, domain: str) -> str | None:
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
    """0 for a domain of another kind, `feedback_forms` among them."""
    number = domain.removeprefix(_FEEDBACK)
    return int(number) if domain.startswith(_FEEDBACK) and number.isdecimal() else 0
