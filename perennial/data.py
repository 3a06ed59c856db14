"""`perennial data`: the versions of each domain's dialogues."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perennial.data_diff import diff_command
from perennial.project import enter_project

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.storage import Remote
    from tasks.versions import History, Version

_SHOWN = 3

data_app = typer.Typer(
    invoke_without_command=True,
    subcommand_metavar="[diff …]",
    epilog="Example: [bold]perennial data --domain support[/bold]",
)
data_app.command("diff", epilog="Example: [bold]perennial data diff support HEAD~1[/bold]")(
    diff_command
)


@data_app.callback()
def data_command(
    context: typer.Context,
    domain: Annotated[
        list[str] | None, typer.Option(help="only this domain; may be given several times")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="every version, not only the newest three")
    ] = False,
    remote: Annotated[
        str | None,
        typer.Option(help="ask this remote of DVC; by default the default one, if it is a folder"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, for scripts")] = False,
) -> None:
    """List each domain's versions: from which source, how many dialogues, and where they lie.

    A version is what some dvc.lock of git's history, or today's, names as validated dialogues.

    Digests are DVC's MD5, those of raw files SHA-256. `perennial data diff` compares two versions.
    """
    if context.invoked_subcommand is not None:
        return
    from perennial.terminal import open_console
    from tasks.storage import open_storage
    from tasks.versions import read_history

    project, params = enter_project()
    with open_storage(project, remote) as storage:
        history = read_history(project, storage, domain or ())
        if as_json:
            sys.stdout.write(json.dumps(_as_json(history, storage.remote), indent=2) + "\n")
            return
        _print_history(open_console(), history, storage.remote, tuple(params.curriculum), every)


def _print_history(
    console: Console,
    history: History,
    remote: Remote | None,
    curriculum: Sequence[str],
    every: bool,
) -> None:
    if not history.versions:
        console.print("There is no data yet; `perennial run` makes the first version.")
    learned_first = sorted(
        history.versions,
        key=lambda name: curriculum.index(name) if name in curriculum else len(curriculum),
    )
    for domain in learned_first:
        versions = history.versions[domain]
        count = f"{len(versions)} version" + "s" * (len(versions) > 1)
        gone = "" if domain in curriculum else ", not in the curriculum any more"
        console.print(f"[bold]{domain}[/bold]  {count}{gone}")
        for version in versions if every else versions[:_SHOWN]:
            _print_version(console, version, remote)
        if not every and len(versions) > _SHOWN:
            console.print(f"  and {len(versions) - _SHOWN} older; `--all` shows them", style="dim")
        console.print()
    for fault in history.faults:
        console.print(f"left out: {fault}", style="yellow", markup=False)


def _print_version(console: Console, version: Version, remote: Remote | None) -> None:
    since = "not committed" if version.commit is None else version.commit.date[:10]
    commit = "" if version.commit is None else f"  {version.commit.short}"
    marks = ", ".join(_marks(version))
    style = "green" if version.workspace else ""
    head = f"  {'●' if version.workspace else '○'} [bold]{version.id}[/bold]  {since}{commit}"
    console.print(head + (f"  {marks}" if marks else ""), style=style)
    for line in (
        _size(version),
        _source(version),
        _chain(version),
        _place(version, remote),
        f"learned by {', '.join(version.learned_by)}" if version.learned_by else "",
    ):
        if line:
            console.print(f"    {line}", markup=False)


def _marks(version: Version) -> list[str]:
    marks = ["HEAD"] if version.is_head else []
    if version.workspace == "whole":
        marks.append("workspace")
    elif version.workspace == "changed":
        marks.append("workspace, but the folder was changed since")
    elif version.workspace == "absent":
        marks.append("workspace, but the folder is absent: `dvc checkout`")
    return marks


def _size(version: Version) -> str:
    size = readable_bytes(version.valid.num_bytes)
    if version.counts is None:
        return f"{size}; dialogues are counted once its bytes are here"
    dialogues, turns = version.counts.dialogues, version.counts.turns
    splits = ", ".join(f"{count:,} {split}" for split, count in dialogues.items())
    return (
        f"{sum(dialogues.values()):,} dialogues ({splits}), {sum(turns.values()):,} turns, {size}"
    )


def _source(version: Version) -> str:
    source = version.source
    if not source:
        return ""
    name = source.get("package") or source.get("id") or source.get("path") or source.get("kind")
    pin = source.get("sha256") or source.get("revision")
    pinned = f" at {pin[:12]}" if pin else ""
    return f"{name}{pinned}, {source.get('licence', 'licence unknown')}"


def _chain(version: Version) -> str:
    """Digests from the raw file to the shards, each as far as it takes to find it."""
    raw = "?"
    if version.raw:
        raw = f"{version.raw[0]['sha256'][:8]}"
        raw += f" and {len(version.raw) - 1} more" * (len(version.raw) > 1)
    records = "?" if version.records is None else version.records.digest[:8]
    encoded = "?" if version.encoded is None else version.encoded.digest[:8]
    return f"raw {raw} → records {records} → valid {version.id} → encoded {encoded}"


def _place(version: Version, remote: Remote | None) -> str:
    cache = {"whole": "in the cache", "part": "partly in the cache", "none": "not in the cache"}
    if remote is None:
        return f"{cache[version.in_cache]}; there is no remote"
    push = ": `dvc push`" if version.workspace and version.in_cache == "whole" else ""
    stored = {
        "whole": f"in the remote `{remote.name}`",
        "part": f"partly in the remote `{remote.name}`",
        "none": f"not in the remote `{remote.name}`" + push,
        None: f"the remote `{remote.name}` was not asked: `--remote {remote.name}`",
    }
    return f"{cache[version.in_cache]}; {stored[version.in_remote]}"


def _as_json(history: History, remote: Remote | None) -> dict[str, Any]:
    return {
        "remote": None
        if remote is None
        else {"name": remote.name, "url": remote.url, "asked": remote.asked},
        "domains": {
            domain: [_version_as_json(version) for version in versions]
            for domain, versions in history.versions.items()
        },
        "faults": list(history.faults),
    }


def _version_as_json(version: Version) -> Mapping[str, Any]:
    commit = version.commit
    return {
        "id": version.id,
        "commit": None if commit is None else commit.digest,
        "date": None if commit is None else commit.date,
        "subject": None if commit is None else commit.subject,
        "head": version.is_head,
        "workspace": version.workspace,
        "source": dict(version.source),
        "licence": version.source.get("licence"),
        "dialogues": None if version.counts is None else dict(version.counts.dialogues),
        "turns": None if version.counts is None else dict(version.counts.turns),
        "bytes": version.valid.num_bytes,
        "digests": {
            "raw": [dict(file) for file in version.raw],
            "records": None if version.records is None else version.records.digest,
            "valid": version.valid.digest,
            "encoded": None if version.encoded is None else version.encoded.digest,
        },
        "cache": version.in_cache,
        "remote": version.in_remote,
        "learned_by": list(version.learned_by),
    }


def readable_bytes(count: int) -> str:
    """As 50.4 kB; powers of ten, as disks and DVC count."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if size < 100 else f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
