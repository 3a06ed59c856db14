"""MLflow's alias of the champion: it shows what the journal says, and follows it."""

from __future__ import annotations

from pathlib import Path

from dialogue.config import Params
from tasks import registry, releases
from tasks.registry import Version
from tasks.releases import Release, Store

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
        held(params, project, champion)
    if is_aligned(store):
        return False
    align(params, project, store)
    return True


def is_aligned(store: Store) -> bool:
    """Whether the alias was last set to the champion; since then it may have been moved by hand."""
    champion = releases.champion(store)
    if champion is None:
        return True
    aligned = [entry for entry in releases.journal(store) if entry.action == _ALIGNED]
    return bool(aligned) and aligned[-1].digest == champion.digest


def held(params: Params, project: Path, release: Release) -> Version | None:
    """MLflow's version of a release; None where somebody deleted it there.

    Under another `register.model_name` its number may belong to another model, and an alias would
    make a stranger of it.

    Raises:
        ValueError: MLflow holds it under another name or number, or does not know this name.
    """
    name = params.register_.model_name
    version = registry.version_of(project, name, release.digest)
    if version is not None and version.number == release.version:
        return version
    if registry.was_deleted(project, name, release.digest):
        return None
    raise ValueError(
        f"params.yaml: `register.model_name` is {name}, and MLflow has no {release.name} of "
        f"that name which holds the model {release.digest[:12]}; put the name back that it "
        "was registered under, or restore MLflow's store"
    )


def fetched(params: Params, project: Path, release: Release) -> Path:
    """The release's model folder, every byte checked; from a server it is fetched first.

    Raises:
        ValueError: MLflow does not hold it (see `held`), or its files are damaged or missing.
    """
    version = held(params, project, release)
    if version is None:
        raise ValueError(
            f"{release.name}: its version was deleted in MLflow; `perennial run` registers it anew "
            "where it is the candidate, else choose another version"
        )
    registry.version_folder(project, version)
    return releases.model_folder(releases.open_store(project), release.digest)


def shown(params: Params, project: Path, champion: Release | None) -> int | None:
    """The version that the alias stands at when all is in step."""
    if champion is None or held(params, project, champion) is None:
        return None
    return champion.version


def align(params: Params, project: Path, store: Store) -> None:
    """Set MLflow's alias to the journal's champion, and write down that it stands there.

    Aliases know no compare-and-set: of several processes here at once, the last to set it also
    looks last who reigns, and sets it again if that changed.
    """
    name, champion = params.register_.model_name, releases.champion(store)
    while True:
        registry.set_alias(project, name, shown(params, project, champion))
        latest = releases.champion(store)
        if latest == champion:
            break
        champion = latest
    if champion is not None:
        releases.append(
            store, action=_ALIGNED, release=champion, actor=BY_US, reason="MLflow's alias follows"
        )
