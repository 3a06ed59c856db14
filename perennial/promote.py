"""`perennial promote` and `perennial rollback`: what a person decides about the champion."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perennial.project import enter_project

if TYPE_CHECKING:
    from tasks.promote import Promotion
    from tasks.releases import Release

_MAX_VERSION = 2**31 - 1


def promote_command(
    version: Annotated[
        str | None, typer.Argument(help="the version, as 3 or v3; the newest where none is given")
    ] = None,
    override: Annotated[
        bool, typer.Option("--override", help="against the verdict; needs a reason")
    ] = False,
    reason: Annotated[str, typer.Option(help="why; it stays in the journal")] = "",
) -> None:
    """Approve a version and make it champion, after a smoke test in a real server.

    Without --override, its verdict must allow it.
    """
    from tasks._origin import user
    from tasks.promote import promote
    from tasks.serve import smoke
    from tasks.stores import check_tracking

    project, params = enter_project()
    release = _chosen(project, version)
    check_tracking()
    person = user()
    promotion = promote(
        params,
        project,
        digest=release.digest,
        smoke=functools.partial(smoke, params),
        actor=person,
        reason=reason,
        approved_by=person,
        override=override,
    )
    _say(promotion)


def rollback_command(
    reason: Annotated[str, typer.Option(help="why; it stays in the journal")],
    to: Annotated[
        str | None, typer.Option(help="an earlier champion, as 3 or v3; the one before by default")
    ] = None,
) -> None:
    """Give the place back to the champion before this one, after a smoke test."""
    from tasks._origin import user
    from tasks.promote import rollback
    from tasks.serve import smoke
    from tasks.stores import check_tracking

    project, params = enter_project()
    check_tracking()
    promotion = rollback(
        params,
        project,
        smoke=functools.partial(smoke, params),
        actor=user(),
        reason=reason,
        version=None if to is None else version_number(to),
    )
    _say(promotion)


def version_number(text: str) -> int:
    """3 from `3` or `v3`.

    Raises:
        ValueError: neither, or more than a database counts to.
    """
    number = text.removeprefix("v")
    if not number.isdecimal() or len(number) > 10 or int(number) > _MAX_VERSION:
        raise ValueError(f"`{text}` is no version; give a number, such as 3 or v3")
    return int(number)


def _chosen(project: Path, version: str | None) -> Release:
    from tasks import releases

    store = releases.open_store(project)
    known = releases.releases(store)
    if not known:
        raise ValueError("no version is registered yet; `perennial run` makes one")
    if version is None:
        return known[-1]
    release = releases.release_of_version(store, version_number(version))
    if release is None:
        names = ", ".join(release.name for release in known)
        raise ValueError(f"{version}: no such version; there are {names}")
    return release


def _say(promotion: Promotion) -> None:
    from perennial.terminal import open_console

    console = open_console()
    name = promotion.release.name
    if not promotion.changed:
        console.print(f"{name} is champion already.")
        return
    before = f"; before it, {promotion.previous.name}" if promotion.previous else ""
    console.print(f"[bold]{name} is champion now[/bold]{before}.")
    console.print(f"  served: {promotion.smoke['sentence']}", style="dim", markup=False)
