"""MLflow's alias of the champion: it shows what the journal says, and follows it."""

from __future__ import annotations

from pathlib import Path

from dialogue.config import Params
from tasks import registry, releases
from tasks.releases import MOVES, Release, Store

BY_US = "perennial"
"""The journal's actor where nobody asked for it."""

_ALIGNED = "align"


def repair(params: Params, project: Path) -> bool:
    """Complete what a killed promotion or rollback left: MLflow's alias follows the journal.

    Returns:
        Whether there was something to complete.

    Raises:
        ValueError: MLflow does not hold the champion under this `register.model_name`.
    """
    store = releases.open_store(project)
    champion = releases.champion(store)
    if champion is not None:
        check_name(params, project, champion)
    actions = [entry.action for entry in releases.journal(store)]
    last = next((a for a in reversed(actions) if a in (*MOVES, _ALIGNED)), _ALIGNED)
    if last == _ALIGNED:
        return False
    align(params, project, store)
    return True


def check_name(params: Params, project: Path, release: Release) -> None:
    """Refuse a `register.model_name` under which MLflow does not hold the release.

    Its number may belong to another model there, and an alias would make a stranger of it.

    Raises:
        ValueError: it does not.
    """
    name = params.register_.model_name
    version = registry.version_of(project, name, release.digest)
    if version is None or version.number != release.version:
        raise ValueError(
            f"params.yaml: `register.model_name` is {name}, and MLflow has no {release.name} of "
            f"that name which holds the model {release.digest[:12]}; put the name back that it "
            "was registered under, or restore MLflow's store"
        )


def align(params: Params, project: Path, store: Store) -> None:
    """Set MLflow's alias to the journal's champion, and write down that it stands there.

    Aliases know no compare-and-set: of several processes here at once, the last to set it also
    looks last who reigns, and sets it again if that changed.
    """
    name, champion = params.register_.model_name, releases.champion(store)
    while True:
        registry.set_alias(project, name, champion.version if champion else None)
        latest = releases.champion(store)
        if latest == champion:
            break
        champion = latest
    if champion is not None:
        releases.append(
            store, action=_ALIGNED, release=champion, actor=BY_US, reason="MLflow's alias follows"
        )
