"""`perennial trace`: from a reply or a version back to the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perennial.project import enter_project
from perennial.promote import version_number
from perennial.terminal import cleaned, open_console

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.lineage import Learned, Lineage


def trace_command(
    what: Annotated[
        str, typer.Argument(metavar="ID|VERSION", help="a reply's id, or a version as 3 or v3")
    ],
) -> None:
    """Follow a reply to its version, verdict, run, lock file, data and sources."""
    from tasks.lineage import trace
    from tasks.stores import check_tracking

    project, params = enter_project()
    check_tracking()
    console = open_console()
    is_version = what.removeprefix("v").isdecimal()
    digest = (
        _digest_of_version(project, what) if is_version else _print_reply(console, project, what)
    )
    _print_lineage(console, trace(project, params.register_.model_name, digest), project)


def _digest_of_version(project: Path, what: str) -> str:
    from tasks import releases

    release = releases.release_of_version(releases.open_store(project), version_number(what))
    if release is None:
        raise ValueError(f"{what}: no such version; `perennial status` names the champion")
    return release.digest


def _print_reply(console: Console, project: Path, reply: str) -> str:
    """Show the reply and what was said of it; returns the digest of the model that gave it."""
    from dialogue.serving.store import ReplyStore
    from tasks.serve import REPLIES

    path = project / REPLIES
    store = ReplyStore(path) if path.is_file() else None
    answer = store.answer(reply) if store else None
    if store is None or answer is None:
        raise ValueError(f"{reply}: no such reply was served here; give a reply's id or a version")
    rating = store.ratings().get(reply)
    _line(console, "reply", answer.id)
    _line(console, "", f"{answer.time}, {answer.model}")
    _line(console, "", f"“{answer.history[-1].text}” → “{answer.text}”")
    if rating:
        _line(console, "", f"rated {rating.opinion}" + f": {rating.reason}" * bool(rating.reason))
    return answer.digest


def _print_lineage(console: Console, lineage: Lineage, project: Path) -> None:
    release, facts = lineage.release, lineage.facts
    _line(console, "version", f"{release.name}  {release.digest}")
    for entry in lineage.journal:
        lost = "" if entry.digest == release.digest else f"gave way to v{entry.version}: "
        told = f"{lost}{entry.action} by {entry.actor}: {entry.reason}"
        _line(console, "", f"{entry.time[:16]} {told}")
    _line(console, "verdict", release.verdict["sentence"])
    for name in ("judged_against", "exam_digest", "evidence_digest"):
        _line(console, "", f"{name} {facts.get(name, 'none')}")
    _line(console, "runs", f"registered by {release.run_id}")
    _line(console, "", f"trained by {facts.get('training_run', 'unknown: it came from the cache')}")
    _line(console, "made from", f"dvc.lock {facts.get('dvc_lock', 'unknown')}")
    _line(console, "", f"git commit {facts.get('git_commit', 'none')}")
    for learned in lineage.learned:
        _print_learned(console, learned, project)


def _print_learned(console: Console, learned: Learned, project: Path) -> None:
    path = (
        learned.path.relative_to(project) if learned.path.is_relative_to(project) else learned.path
    )
    _line(console, "learned", f"{learned.domain}: {path}")
    _line(console, "", f"SHA-256 {learned.digest}")
    if learned.sources is None:
        _line(
            console, "", "another file lies there now; `dvc checkout` of the commit brings it back"
        )
        return
    for source in learned.sources:
        text = f"{source.dialogues} dialogues from {source.source} ({source.licence})"
        _line(console, "", f"{text}, raw file {source.raw_digest}")


def _line(console: Console, head: str, text: str) -> None:
    console.print(cleaned(f"{head:<10} {text}"), markup=False, soft_wrap=True)
