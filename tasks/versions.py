"""The versions of each domain's data: what dvc.lock held over time, and where its bytes are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue.comparison import count_by_split
from dialogue.manifest import MANIFEST, verify_manifest
from dialogue.records import Split
from tasks import releases
from tasks._lock_history import Artefact, Commit, Lock, lock_at, read_locks, workspace_lock
from tasks.storage import Held, State, Storage, is_whole

WORKSPACE = "workspace"
"""What the state of the project's folder is called where a revision of git could stand."""

_LEAST_DIGITS = 6
_RECORDS = "dialogues.parquet"


@dataclass(frozen=True, slots=True)
class Counts:
    """Dialogues and turns by split."""

    dialogues: Mapping[Split, int]
    turns: Mapping[Split, int]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a domain's validated dialogues; DVC's digest of them names it."""

    domain: str
    valid: Artefact
    commit: Commit | None
    """The first in which it stood in dvc.lock; None where it stands in the workspace's only."""
    is_head: bool
    workspace: State | None
    """How the folder compares with it; None where the workspace's dvc.lock names another one."""
    source: Mapping[str, Any]
    """The source as params.yaml pinned it; empty where the lock knows no more."""
    raw: tuple[Mapping[str, Any], ...]
    """The raw files with `name`, `sha256` and `bytes`; empty where no report of them is left."""
    records: Artefact | None
    encoded: Artefact | None
    counts: Counts | None
    """None where neither the data nor a report is at hand."""
    in_cache: Held
    in_remote: Held | None
    learned_by: tuple[str, ...]
    """Registered models that learned it, as `v3`; those known from committed verdicts."""

    @property
    def id(self) -> str:
        """The beginning of its digest, as people name it."""
        return self.valid.digest[:8]


@dataclass(frozen=True, slots=True)
class History:
    """The versions by domain, newest first, and the commits whose dvc.lock nobody can read."""

    versions: Mapping[str, tuple[Version, ...]]
    faults: tuple[str, ...]


def read_history(project: Path, storage: Storage, domains: Iterable[str] = ()) -> History:
    """List the versions of these domains, or of all that ever were validated.

    Raises:
        ValueError: a domain was never validated here, or the workspace's dvc.lock is damaged.
    """
    locks = list(read_locks(project))
    known = dict.fromkeys(domain for lock in locks for domain in lock.domains())
    wanted = list(dict.fromkeys(domains)) or list(known)
    for domain in wanted:
        if domain not in known:
            raise ValueError(
                f"{domain}: no version of it in dvc.lock or its history; there are "
                f"{', '.join(known) or 'none, `perennial run` makes the first'}"
            )
    learned = _learned(project, locks)
    return History(
        {domain: tuple(_versions(domain, locks, storage, learned)) for domain in wanted},
        tuple(lock.fault for lock in locks if lock.fault),
    )


@dataclass(frozen=True, slots=True)
class Located:
    """The records of a version, where they lie; `digest` is None for a folder that was changed."""

    name: str
    commit: Commit | None
    digest: str | None
    path: Path


def records_at(project: Path, storage: Storage, domain: str, revision: str) -> Located:
    """The validated records of a domain at a revision, every byte checked, wherever they lie.

    Args:
        project: the project's root.
        storage: the project's stored data.
        domain: a domain.
        revision: a revision of git, the beginning of a version's digest, or `workspace`: the
            folder, or what dvc.lock names where it is absent.

    Returns:
        The file, in the workspace or in DVC's cache, and what it is called.

    Raises:
        ValueError: no such revision or domain, or the bytes are missing or damaged.
    """
    lock = _lock_named(project, domain, revision)
    valid = lock.output(f"validate@{domain}", "valid/*")
    if valid is None:
        raise ValueError(
            f"{domain}: no version of it in dvc.lock of {lock.name}; "
            "`perennial data` lists which there are"
        )
    folder = project / valid.path
    if lock.commit is None and folder.is_dir():
        if (folder / MANIFEST).is_file():
            verify_manifest(folder)
        digest = valid.digest if storage.state(valid) == "whole" else None
        return Located(lock.name, None, digest, folder / _RECORDS)
    path = storage.cached_file(valid, _RECORDS)
    if path is not None and is_whole(path):
        return Located(lock.name, lock.commit, valid.digest, path)
    current = workspace_lock(project).output(f"validate@{domain}", "valid/*")
    mend = _mend(storage, domain, lock, valid, _digest(current) == valid.digest)
    if path is None:
        raise ValueError(f"{valid.path} of {lock.name}: not in DVC's cache; {mend}")
    raise ValueError(f"{path}: damaged in DVC's cache; delete this file, then {mend}")


def _lock_named(project: Path, domain: str, revision: str) -> Lock:
    """The state of dvc.lock that is meant: the workspace's, a revision's or a version's."""
    if revision == WORKSPACE:
        return workspace_lock(project)
    try:
        return lock_at(project, revision)
    except ValueError:
        if len(revision) < _LEAST_DIGITS:
            raise
        for lock in read_locks(project):
            valid = lock.output(f"validate@{domain}", "valid/*")
            if valid is not None and valid.digest.startswith(revision):
                return lock
        raise


def _versions(
    domain: str, locks: list[Lock], storage: Storage, learned: Mapping[str, tuple[str, ...]]
) -> Iterator[Version]:
    """A version per distinct digest, that of the newest lock first."""
    holders: dict[str, list[Lock]] = {}
    for lock in locks:
        valid = lock.output(f"validate@{domain}", "valid/*")
        if valid is not None:
            holders.setdefault(valid.digest, []).append(lock)
    head = next((lock for lock in locks if lock.commit is not None), None)
    for digest, states in holders.items():
        valid = states[0].output(f"validate@{domain}", "valid/*")
        assert valid is not None
        yield Version(
            domain=domain,
            valid=valid,
            commit=states[-1].commit,
            is_head=any(lock is head for lock in states),
            workspace=storage.state(valid) if states[0].commit is None else None,
            **_origin(domain, states),
            encoded=_first(_encoded(lock, domain, digest) for lock in states),
            counts=_counts(domain, valid, states, storage),
            in_cache=storage.in_cache(valid),
            in_remote=storage.in_remote(valid),
            learned_by=learned.get(digest, ()),
        )


def _origin(domain: str, states: list[Lock]) -> dict[str, Any]:
    """Records, source and raw files that a version was made of."""
    stage, records = f"ingest@{domain}", states[0].dependency(f"validate@{domain}", "records/*")
    # Where ingest ran again since, what the lock says of it is of other records.
    knowing = [
        lock for lock in states if _digest(lock.output(stage, "records/*")) == _digest(records)
    ]
    if records is None or not knowing:
        return {"records": records, "source": {}, "raw": ()}
    told = next((lock for lock in knowing if lock.report(stage)), knowing[0])
    return {
        "records": records,
        "source": told.settings(stage).get(f"ingest.sources.{domain}", {}),
        "raw": tuple(told.report(stage).get("files", ())),
    }


def _encoded(lock: Lock, domain: str, valid: str) -> Artefact | None:
    """The shards, where they were made of this very version."""
    stage = f"encode@{domain}"
    made_of_it = _digest(lock.dependency(stage, "valid/*")) == valid
    return lock.output(stage, "encoded/*") if made_of_it else None


def _counts(domain: str, valid: Artefact, states: list[Lock], storage: Storage) -> Counts | None:
    """From the data where it is at hand, else from what ingest reported, if all of it was valid."""
    path = storage.cached_file(valid, _RECORDS)
    if path is not None:
        with contextlib.suppress(ValueError):  # damaged: `perennial data diff` says so
            return Counts(*count_by_split(path))
    for lock in states:
        kept = lock.report(f"validate@{domain}", f"{domain}.json").get("num_dialogues")
        read = lock.report(f"ingest@{domain}", f"{domain}.json")
        if kept is not None and kept == read.get("num_dialogues"):
            return Counts(read["dialogues"], read["turns"])
    return None


def _learned(project: Path, locks: Iterable[Lock]) -> dict[str, tuple[str, ...]]:
    """Which registered models learned which version, by the verdicts that the locks name."""
    if not (project / releases.DATABASE).is_file() and releases.URL_VARIABLE not in os.environ:
        return {}  # opening the store would make one
    names = {
        release.digest: release.name for release in releases.releases(releases.open_store(project))
    }
    learned: dict[str, dict[str, None]] = {}
    for lock in locks:
        name = names.get(lock.report("gate").get("candidate", {}).get("digest"))
        for valid in _lessons(lock) if name is not None else ():
            learned.setdefault(valid, {})[str(name)] = None
    return {
        valid: tuple(sorted(by, key=lambda name: int(name[1:]))) for valid, by in learned.items()
    }


def _lessons(lock: Lock) -> Iterator[str]:
    """Digests of what the candidate of a lock learned, as far as the lock's stages fit together."""
    domain = lock.report("gate")["candidate"]["domain"]
    curriculum = lock.settings("gate").get("curriculum", {})
    while domain in curriculum:
        valid = _digest(lock.output(f"validate@{domain}", "valid/*"))
        encoded = _digest(lock.dependency(f"finetune@{domain}", "encoded/*"))
        made = None if valid is None else _digest(_encoded(lock, domain, valid))
        if valid is not None and made is not None and made == encoded:
            yield valid
        domain = curriculum[domain]["after"]


def _mend(storage: Storage, domain: str, lock: Lock, valid: Artefact, is_current: bool) -> str:
    """How the bytes of a version come back into the cache."""
    remote = storage.remote
    if remote is None or storage.in_remote(valid) == "none":
        where = "no remote is set" if remote is None else f"the remote `{remote.name}` lacks it"
        if is_current or lock.commit is None:
            return f"{where}: `perennial run` makes it again"
        checkout = f"`git checkout {lock.commit.short}` and `dvc repro validate@{domain}`"
        return f"{where}: {checkout} make it again"
    if is_current:
        return f"`dvc pull {valid.path}` brings it from the remote `{remote.name}`"
    # DVC goes by each commit's own .dvc/config, and passes over commits that know no remote.
    if lock.knows_remote(remote.name):
        return f"`dvc fetch --all-commits {valid.path}` brings it from the remote `{remote.name}`"
    return (
        f"`dvc remote add --local {remote.name} {remote.url}` and `dvc fetch --all-commits "
        f"--remote {remote.name} {valid.path}` bring it: that commit knew no such remote"
    )


def _digest(artefact: Artefact | None) -> str | None:
    return None if artefact is None else artefact.digest


def _first(artefacts: Iterable[Artefact | None]) -> Artefact | None:
    return next((artefact for artefact in artefacts if artefact is not None), None)
