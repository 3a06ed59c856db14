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
        if domain or every or remote is not None or as_json:
            raise ValueError(
                "data: --domain, --all, --remote and --json before `diff` are for the list of "
                "versions; `perennial data diff --help` names its own"
            )
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
    from rich.padding import Padding
    from rich.text import Text

    here = version.workspace is not None
    since = "not committed" if version.commit is None else version.commit.date[:10]
    marks = [version.commit.short] if version.commit is not None else []
    marks += ["HEAD"] * version.is_head + ["workspace"] * here
    console.print(
        Text.assemble(
            ("  ● " if here else "  ○ ", "green" if here else "dim"),
            (version.id, "bold"),
            f"  {since}  {', '.join(marks)}",
        )
    )
    lines = (
        _size(version),
        _source(version),
        _chain(version),
        _place(version, remote),
        f"learned by {', '.join(version.learned_by)}" if version.learned_by else "",
    )
    for line in filter(None, lines):
        console.print(Padding(Text(line), (0, 0, 0, 4), expand=False))


def _size(version: Version) -> str:
    size = readable_bytes(version.valid.num_bytes)
    if version.counts is None:
        return f"{size}; its dialogues are counted once its bytes are here"
    dialogues, turns = version.counts.dialogues, version.counts.turns
    splits = " + ".join(f"{count:,} {split}" for split, count in dialogues.items())
    return f"{sum(dialogues.values()):,} dialogues: {splits}; {sum(turns.values()):,} turns, {size}"


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
        raw += f" +{len(version.raw) - 1}" * (len(version.raw) > 1)
    records = "?" if version.records is None else version.records.digest[:8]
    encoded = "?" if version.encoded is None else version.encoded.digest[:8]
    return f"raw {raw} → records {records} → valid {version.id} → shards {encoded}"


def _place(version: Version, remote: Remote | None) -> str:
    """Where the bytes are, and what to do where they are missing or at one place only."""
    cache = {"whole": "in the cache", "part": "partly in the cache", "none": "not in the cache"}
    if remote is None:
        place = f"{cache[version.in_cache]}; there is no remote"
    elif version.in_remote is None:
        place = f"{cache[version.in_cache]}; `--remote {remote.name}` asks the remote"
    else:
        stored = {"whole": "in", "part": "partly in", "none": "not in"}[version.in_remote]
        place = f"{cache[version.in_cache]}; {stored} the remote `{remote.name}`"
    folder = {"absent": "; the folder is absent", "changed": "; the folder was changed since"}
    return place + folder.get(version.workspace or "", "") + _mend(version)


def _mend(version: Version) -> str:
    if version.workspace is None:
        return ""
    if version.workspace == "changed":
        return ": `dvc diff` shows what, `perennial run` goes on"
    if version.in_cache == "whole":
        if version.workspace == "absent":
            return ": `dvc checkout`"
        return ": `dvc push`" if version.in_remote in ("part", "none") else ""
    return ": `dvc pull`" if version.in_remote == "whole" else ": `perennial run` makes it again"


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
