"""The door of the release store: which model is champion, and the journal of how it came to be."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dialogue.manifest import verify_manifest
from tasks._release_tables import CHAMPION, JOURNAL, MODELS, open_engine

DATABASE = "releases.db"
URL_VARIABLE = "PERENNIAL_RELEASES_URL"

MOVES = ("promote", "override", "rollback")
"""The journal's actions that change who is champion."""


class Conflict(ValueError):  # noqa: N818 - what happened, not what broke
    """Another model became champion in the meantime; the candidate must be judged again."""


@dataclass(frozen=True, slots=True)
class Release:
    """A registered model: its content, its place in the registry and what was judged of it."""

    digest: str
    version: int
    folder: Path
    run_id: str
    verdict: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How people are told of it: `v3`."""
        return f"v{self.version}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal; `previous` is the champion's digest before it."""

    sequence: int
    time: str
    action: str
    digest: str | None
    version: int | None
    previous: str | None
    verdict: Mapping[str, Any] | None
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Store:
    """An open release store; `project` is what relative folders are relative to."""

    project: Path
    engine: sa.Engine


def open_store(project: Path) -> Store:
    """Open the project's release store, making its tables where there are none.

    It is `releases.db` at the project's root, or the database that PERENNIAL_RELEASES_URL names
    (any SQLAlchemy URL of SQLite or Postgres). No connection stays open between calls.
    """
    project = project.resolve()
    url = os.environ.get(URL_VARIABLE) or f"sqlite:///{project / DATABASE}"
    return Store(project, open_engine(url))


def champion(store: Store) -> Release | None:
    """The reigning champion, or none yet."""
    query = sa.select(MODELS).join(CHAMPION, CHAMPION.c.digest == MODELS.c.digest)
    with store.engine.begin() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else _release(store, row)


def compare_and_set(
    store: Store, expected: str | None, release: Release, *, action: str, actor: str, reason: str
) -> Entry:
    """Make `release` champion if `expected` still is, and write it down, in one transaction.

    Args:
        store: the release store.
        expected: digest of the champion that is to be replaced; None where there is none.
        release: a recorded release.
        action: what the journal calls it: promote, override, rollback.
        actor: who did it.
        reason: why.

    Returns:
        The journal's entry.

    Raises:
        Conflict: somebody else is champion.
    """
    row = {"digest": release.digest, "version": release.version}
    with store.engine.begin() as connection:
        # The champion's row is taken first, so that the journal's order is that of the reigns.
        if not _take(connection, expected, row):
            raise Conflict(
                f"{release.name} ({release.digest[:12]}) was judged against "
                f"{expected[:12] if expected else 'no champion'}, which no longer reigns; "
                "judge it again"
            )
        entry = _append(connection, action, release, expected, actor, reason)
        connection.execute(sa.update(CHAMPION).values(sequence=entry.sequence))
    return entry


def append(store: Store, *, action: str, release: Release | None, actor: str, reason: str) -> Entry:
    """Write a line into the journal that does not change the champion."""
    with store.engine.begin() as connection:
        previous = connection.execute(sa.select(CHAMPION.c.digest)).scalar_one_or_none()
        return _append(connection, action, release, previous, actor, reason)


def record(store: Store, release: Release) -> None:
    """Write a registered model down, or its new verdict where it is known already."""
    folder = release.folder.resolve()
    if folder.is_relative_to(store.project):
        folder = folder.relative_to(store.project)
    row = {
        "version": release.version,
        "folder": folder.as_posix(),
        "run_id": release.run_id,
        "verdict": dict(release.verdict),
    }
    with store.engine.begin() as connection:
        known = sa.update(MODELS).where(MODELS.c.digest == release.digest).values(row)
        if connection.execute(known).rowcount == 0:
            connection.execute(sa.insert(MODELS).values(digest=release.digest, **row))


def release_of(store: Store, digest: str) -> Release | None:
    """The release with this model digest."""
    return _find(store, MODELS.c.digest == digest)


def release_of_version(store: Store, version: int) -> Release | None:
    """The release with this version number; of several names of the model, the newest one."""
    query = (
        sa.select(MODELS)
        .outerjoin(JOURNAL, JOURNAL.c.digest == MODELS.c.digest)
        .where(MODELS.c.version == version)
        .order_by(sa.func.coalesce(JOURNAL.c.sequence, 0).desc())
        .limit(1)
    )
    with store.engine.begin() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else _release(store, row)


def releases(store: Store) -> list[Release]:
    """Every registered model, by version."""
    with store.engine.begin() as connection:
        rows = connection.execute(sa.select(MODELS).order_by(MODELS.c.version)).all()
    return [_release(store, row) for row in rows]


def journal(store: Store) -> list[Entry]:
    """Everything that happened, oldest first."""
    with store.engine.begin() as connection:
        rows = connection.execute(sa.select(JOURNAL).order_by(JOURNAL.c.sequence)).all()
    return [Entry(**row._mapping) for row in rows]


def reigns(entries: list[Entry]) -> list[str]:
    """Digests of the champions that stand behind one another, the reigning one last.

    A promotion puts one more on top. A rollback takes off what is above its target, so a second
    rollback goes one further back instead of forward again.
    """
    stack: list[str] = []
    for entry in entries:
        if entry.digest is None or entry.action not in MOVES:
            continue
        if entry.action == "rollback" and entry.digest in stack:
            while stack[-1] != entry.digest:
                stack.pop()
        else:
            stack.append(entry.digest)
    return stack


def model_folder(store: Store, digest: str) -> Path:
    """The folder of a registered model, every byte checked against its manifest.

    Raises:
        ValueError: no such model is registered, or its folder is missing or damaged.
    """
    release = release_of(store, digest)
    if release is None:
        raise ValueError(f"no registered model has the digest {digest}; register it first")
    found = verify_manifest(release.folder)
    if found != digest:
        raise ValueError(
            f"{release.folder}: holds the model {found[:12]} where {release.name} "
            f"({digest[:12]}) was registered; restore the folder"
        )
    return release.folder


def _find(store: Store, condition: sa.ColumnElement[bool]) -> Release | None:
    with store.engine.begin() as connection:
        row = connection.execute(sa.select(MODELS).where(condition)).one_or_none()
    return None if row is None else _release(store, row)


def _release(store: Store, row: sa.Row[Any]) -> Release:
    return Release(row.digest, row.version, store.project / row.folder, row.run_id, row.verdict)


def _append(
    connection: sa.Connection,
    action: str,
    release: Release | None,
    previous: str | None,
    actor: str,
    reason: str,
) -> Entry:
    row = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "action": action,
        "digest": release.digest if release else None,
        "version": release.version if release else None,
        "previous": previous,
        "verdict": dict(release.verdict) if release else None,
        "actor": actor,
        "reason": reason,
    }
    sequence = connection.execute(sa.insert(JOURNAL).values(row)).inserted_primary_key
    assert sequence is not None
    return Entry(sequence=sequence[0], **row)  # type: ignore[arg-type]


def _take(connection: sa.Connection, expected: str | None, row: Mapping[str, Any]) -> bool:
    """Put the row in the champion's place, if `expected` holds it."""
    if expected is not None:
        replace = sa.update(CHAMPION).where(CHAMPION.c.digest == expected).values(row)
        return connection.execute(replace).rowcount == 1
    try:
        connection.execute(sa.insert(CHAMPION).values(id=1, sequence=0, **row))
    except sa.exc.IntegrityError:
        return False
    return True
