"""`perennial status`: who is champion and why, and what of the candidate."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perennial.project import enter_project

if TYPE_CHECKING:
    from rich.console import Console

    from dialogue.config import Params
    from tasks.releases import Release, Store


def status_command() -> None:
    """Say who is champion, since when and why, and how the candidate stands."""
    from perennial.terminal import open_console
    from tasks import releases

    project, params = enter_project()
    console = open_console()
    store = releases.open_store(project)
    _print_champion(console, store, project)
    console.print()
    _print_candidate(console, project, params, store)


def standing(store: Store, verdict: Mapping[str, Any], approval: str) -> str:
    """How the candidate of a verdict stands in the release store, in a sentence or two."""
    from tasks import releases

    digest = verdict["candidate"]["digest"]
    champion, known = releases.champion(store), releases.release_of(store, digest)
    if champion is not None and champion.digest == digest:
        return "it is the champion"
    if known is None:
        return f"{verdict['sentence']} Not registered yet; `perennial run` goes on."
    return f"{known.name}: {verdict['sentence']}{_afterwards(store, known, approval)}"


def _afterwards(store: Store, known: Release, approval: str) -> str:
    """What came between a registered candidate and its reign."""
    from tasks import releases
    from tasks.promote import taken_down

    entries = releases.journal(store)
    if fall := taken_down(entries, known.digest):
        return (
            f" It {fall}; `perennial promote {known.version} --override --reason …` brings it back."
        )
    own = [entry for entry in entries if entry.digest == known.digest]
    if own and own[-1].action == "refuse":
        return f" It was refused all the same: {own[-1].reason}"
    reigned = any(entry.action in releases.MOVES for entry in own)
    if known.verdict["verdict"] == "PROMOTE" and not reigned and approval == "manual":
        return f" It waits for approval: `perennial promote {known.version}` gives it."
    return ""


def opinion(replies: Path, champion: Release) -> str:
    """What people thought of a champion's replies, or why nobody can say; empty: nothing served."""
    from dialogue.satisfaction import satisfaction
    from dialogue.serving.store import ReplyStore

    if not replies.is_file():
        return ""
    try:
        store = ReplyStore(replies)
    except ValueError as error:
        return str(error)
    try:
        # A model may have served under several names, before and after it was promoted.
        own = [
            replace(answer, model="", version="")
            for answer in store.answers()
            if answer.digest == champion.digest
        ]
        found = next(iter(satisfaction(own, store.ratings()).values()), None)
    finally:
        store.close()
    if found is None:
        return ""
    served = f"{found.replies:,} {'reply' if found.replies == 1 else 'replies'} served"
    if found.satisfied is None:
        return f"{served}, none rated"
    assert found.low is not None
    assert found.high is not None
    return (
        f"{served}, {found.rated:,} rated, "
        f"{found.satisfied:.0%} of them liked (95 %: {found.low:.0%} to {found.high:.0%})"
    )


def _print_champion(console: Console, store: Store, project: Path) -> None:
    from perennial.verdict import print_verdict
    from tasks import releases
    from tasks.serve import REPLIES

    champion = releases.champion(store)
    if champion is None:
        console.print("[bold]There is no champion yet[/bold]; `perennial run` makes one.")
        return
    entries = [e for e in reversed(releases.journal(store)) if e.digest == champion.digest]
    entry = next(entry for entry in entries if entry.action in releases.MOVES)
    console.print(
        f"[bold]champion {champion.name}[/bold]  {champion.verdict['candidate']['domain']}  "
        f"{champion.digest[:12]}"
    )
    since = f"  since {_when(entry.time)}, by {entry.action} ({entry.actor})"
    console.print(since, markup=False)
    if entry.action != "promote":
        console.print(f"  reason: {entry.reason}", markup=False)
    print_verdict(console, entry.verdict or champion.verdict)
    if served := next((entry for entry in entries if entry.action == "smoke test"), None):
        console.print(f"  served: {served.reason}", markup=False)
    if said := opinion(project / REPLIES, champion):
        console.print(f"  people: {said}", markup=False)


def _print_candidate(console: Console, project: Path, params: Params, store: Store) -> None:
    from flows import rounds
    from tasks.freshness import current_graph
    from tasks.graph import ProjectBusy

    console.print(f"[bold]candidate[/bold]  {params.candidate}")
    try:
        graph = current_graph(project, params)
    except ProjectBusy as busy:
        console.print(f"  {busy}", markup=False)
        return
    if graph.stale:
        names = [name for name in graph.parents if name in graph.stale]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        stale = f"{len(names)} of {len(graph.parents)} stages are stale"
        console.print(f"  {stale} ({', '.join(names[:3])}{more}); `perennial run` runs them")
        return
    verdict, approval = rounds.verdict_of(project, graph), params.promote.approval
    console.print(f"  {standing(store, verdict, approval)}", markup=False)


def _when(time: str) -> str:
    return f"{datetime.datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M}"
