"""The DVC door: the stage graph, what of it is stale, and one stage run as DVC runs it."""

from __future__ import annotations

import contextlib
import graphlib
import json
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

_CLOCK_SECONDS = 2.0
"""By how much a process's birth, told in ticks since the machine's, may seem too late."""


class ProjectBusy(ValueError):  # noqa: N818 - an answer, not a breakdown
    """Somebody else runs stages here right now."""


@dataclass(frozen=True)
class Graph:
    """The stages of dvc.yaml; every mapping is in an order in which they can run."""

    parents: Mapping[str, tuple[str, ...]]
    """Stage → the stages whose outputs it reads."""
    outputs: Mapping[str, tuple[Path, ...]]
    """Stage → the paths it writes, relative to the project."""
    stale: frozenset[str]
    """Stages whose own inputs, command or outputs changed; what follows from them may too."""
    forced: frozenset[str] = frozenset()
    """Stages among the stale whose change DVC cannot see: it must be told to run them."""

    def may_change(self, stage: str) -> bool:
        """Whether the stage, or any that it follows from, is stale."""
        return stage in self.stale or any(map(self.may_change, self.parents[stage]))

    def forcing(self, stages: Collection[str]) -> Graph:
        """The same graph with these stages stale, whatever DVC thinks of them."""
        return replace(self, stale=self.stale | set(stages), forced=self.forced | set(stages))

    def output(self, stage: str, pattern: str) -> Path:
        """The one output of `stage` that the pattern matches, such as `models/*`.

        Raises:
            ValueError: there is none, or there are several.
        """
        found = [path for path in self.outputs.get(stage, ()) if path.match(pattern)]
        if len(found) != 1:
            raise ValueError(
                f"dvc.yaml: the stage `{stage}` must write one output like `{pattern}`, "
                f"it writes {', '.join(map(str, found)) or 'none'}"
            )
        return found[0]


def check_project(project: Path) -> None:
    """Refuse a folder in which no stage could run.

    Raises:
        ValueError: not the project's folder, not a git repository, or DVC was never initialised.
    """
    for name in ("dvc.yaml", "params.yaml"):
        if not (project / name).is_file():
            raise ValueError(f"{project}: no {name} here; change to the project's folder first")
    if not any((folder / ".git").exists() for folder in (project, *project.parents)):
        raise ValueError(f"{project}: not a git repository; run `git init` here, then try again")
    if not (project / ".dvc").is_dir():
        raise ValueError(f"{project}: no .dvc folder; run `dvc init` here, then try again")


def read_graph(project: Path) -> Graph:
    """Read the stages of dvc.yaml and ask DVC which are stale (0.1 to 1 s).

    Raises:
        ProjectBusy: another run holds it.
        ValueError: DVC cannot read the project.
    """
    check_project(project)
    _mend_list_of_readers(project)
    # Imported here: half a second that commands which only look need not pay.
    from dvc.exceptions import DvcException  # noqa: PLC0415
    from dvc.lock import LockError  # noqa: PLC0415
    from dvc.logger import set_loggers_level  # noqa: PLC0415
    from dvc.repo import Repo  # noqa: PLC0415

    try:
        # Above ERROR, DVC shows no progress bars of its own on our terminal.
        with (
            set_loggers_level(logging.CRITICAL),
            Repo(str(project), _wait_for_lock=True) as repo,
        ):
            stages = {stage.name: stage for stage in repo.index.graph}
            parents = {
                name: tuple(sorted(parent.name for parent in repo.index.graph[stage]))
                for name, stage in stages.items()
            }
            outputs = {name: _outputs(stage, repo.root_dir) for name, stage in stages.items()}
            status = repo.status()
            stale = frozenset(name for name, stage in stages.items() if stage.addressing in status)
    except LockError as error:
        who = re.search(r"PID \d+", str(error))
        raise ProjectBusy(
            f"another run is going on here ({who[0] if who else 'DVC holds a lock'}); "
            "wait until it has ended, then try again"
        ) from error
    except DvcException as error:
        raise ValueError(f"{project / 'dvc.yaml'}: {one_line(error)}") from error
    order = list(graphlib.TopologicalSorter(parents).static_order())
    return Graph(
        parents={name: parents[name] for name in order},
        outputs={name: outputs[name] for name in order},
        stale=stale,
    )


def _mend_list_of_readers(project: Path) -> None:
    """Take from DVC's list of readers and writers what would be in everybody's way for ever.

    That is half a list, which a full disk cut off: whoever wrote it has ended with an error. And it
    is who was killed, where another process has the number since, as after a restart of the
    machine: DVC goes by numbers alone.
    """
    from dvc.lock import LockError, make_lock  # noqa: PLC0415

    folder = project / ".dvc" / "tmp"
    path = folder / "rwlock"
    if not path.is_file():
        return
    with contextlib.suppress(LockError), make_lock(str(folder / "rwlock.lock"), str(folder)):
        written = path.stat().st_mtime
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))
            kept = {
                "write": {
                    file: writer
                    for file, writer in listed.get("write", {}).items()
                    if not _began_after(written, writer["pid"])
                },
                "read": {
                    file: [reader for reader in readers if not _began_after(written, reader["pid"])]
                    for file, readers in listed.get("read", {}).items()
                },
            }
        except (ValueError, LookupError, TypeError, AttributeError):
            path.unlink()
            return
        if kept != {"write": {}, "read": {}} | listed:
            path.write_text(json.dumps(kept), encoding="utf-8")


def _began_after(moment: float, pid: int) -> bool:
    """Whether it is no process of ours that has this number, and it did not live yet then."""
    try:
        process = psutil.Process(pid)
        # Beside its birth, for a network's file system may have a clock of its own.
        ours = any(name in word for word in process.cmdline() for name in ("dvc", "perennial"))
        return not ours and process.create_time() > moment + _CLOCK_SECONDS
    except psutil.Error:
        return False


def _outputs(stage: Any, root: str) -> tuple[Path, ...]:
    return tuple(Path(out.fs_path).relative_to(root) for out in stage.outs)


def one_line(error: BaseException) -> str:
    """DVC's message with those of its causes, without line ends."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        parts.append(" ".join(str(cause).split()))
        cause = cause.__cause__
    return ": ".join(part for part in parts if part)
