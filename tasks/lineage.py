"""Where a registered model comes from: verdict, runs, lock file, and the data it learned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dialogue.digests import file_digest
from tasks import registry, releases, tracking
from tasks._model_card import Data, read_data
from tasks.releases import MOVES, Entry, Release


@dataclass(frozen=True, slots=True)
class Learned:
    """The records of one domain as the model learned them; `digest` is the file's SHA-256."""

    domain: str
    path: Path
    digest: str
    sources: tuple[Data, ...] | None
    """None where the file on disk is another one by now."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything known of a model's origin."""

    release: Release
    facts: Mapping[str, str]
    """Digests, commits and runs by what they are."""
    learned: tuple[Learned, ...]
    journal: tuple[Entry, ...]
    """What happened to it, and who took its place."""


def trace(project: Path, name: str, digest: str) -> Lineage:
    """Follow a model back to its data.

    Args:
        project: the project's root.
        name: the registered model's name.
        digest: the model's.

    Raises:
        ValueError: no such model is registered, or not in MLflow any more.
    """
    store = releases.open_store(project)
    release = releases.release_of(store, digest)
    version = registry.version_of(project, name, digest)
    if release is None:
        raise ValueError(f"no registered model has the digest {digest}; see `perennial status`")
    if version is None:
        raise ValueError(
            f"{release.name}: MLflow holds no version of it under the name {name}; it was deleted "
            "there, or `register.model_name` was changed"
        )
    client, _ = tracking.open_tracking(project)
    inputs = client.get_run(release.run_id).inputs.dataset_inputs
    return Lineage(
        release,
        version.tags,
        tuple(
            _learned(project, item.dataset.name, item.dataset.source)
            for item in inputs
            if any(tag.value == "training" for tag in item.tags)
        ),
        tuple(entry for entry in releases.journal(store) if _concerns(entry, digest)),
    )


def _concerns(entry: Entry, digest: str) -> bool:
    return entry.digest == digest or (entry.action in MOVES and entry.previous == digest)


def _learned(project: Path, domain: str, source: str) -> Learned:
    where = json.loads(source)
    path, digest = project / where["uri"], where["digest"]
    same = path.is_file() and file_digest(path) == digest
    return Learned(domain, path, digest, tuple(read_data(domain, path)) if same else None)
