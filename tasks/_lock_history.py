"""dvc.lock over the commits of git: which versions of each domain's data there were."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where there is one: ten times faster
_LOCK = "dvc.lock"
_CONFIG = ".dvc/config"
_FIELDS = "%H%x1f%cI%x1f%s"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: its digest, its date in ISO 8601 and the first line of its message."""

    digest: str
    date: str
    subject: str

    @property
    def short(self) -> str:
        """As people name it."""
        return self.digest[:7]


@dataclass(frozen=True, slots=True)
class Artefact:
    """An output as dvc.lock knows it; `digest` is DVC's MD5, ending in `.dir` for a folder."""

    path: str
    digest: str
    num_bytes: int
    num_files: int


@dataclass(frozen=True, slots=True)
class Lock:
    """One state of dvc.lock; `commit` is None for the file as it stands in the workspace."""

    project: Path
    commit: Commit | None
    stages: Mapping[str, Mapping[str, Any]] = field(repr=False)
    fault: str = ""
    """Why a commit's file could not be read, where it could not."""

    @property
    def name(self) -> str:
        """As people name it: the commit, or the workspace."""
        return "workspace" if self.commit is None else self.commit.short

    def domains(self) -> list[str]:
        """Domains whose dialogues were validated."""
        return [name.partition("@")[2] for name in self.stages if name.startswith("validate@")]

    def output(self, stage: str, pattern: str) -> Artefact | None:
        """The output of a stage that the pattern matches, such as `valid/*`."""
        return next(self._artefacts(stage, "outs", pattern), None)

    def dependency(self, stage: str, pattern: str) -> Artefact | None:
        """The dependency of a stage that the pattern matches: what it was really made of."""
        return next(self._artefacts(stage, "deps", pattern), None)

    def settings(self, stage: str) -> Mapping[str, Any]:
        """The values of params.yaml that the stage ran with, by dotted name."""
        params: Mapping[str, Mapping[str, Any]] = self.stages.get(stage, {}).get("params", {})
        return params.get("params.yaml", {})

    def report(self, stage: str, pattern: str = "*.json") -> Mapping[str, Any]:
        """A stage's JSON report where git or the workspace holds that very one; else empty."""
        artefact = self.output(stage, pattern)
        content = None if artefact is None else self._bytes(artefact.path)
        if artefact is None or content is None or _md5(content) != artefact.digest:
            return {}
        report: Mapping[str, Any] = json.loads(content)
        return report

    def knows_remote(self, name: str) -> bool:
        """Whether .dvc/config of that state names this remote of DVC."""
        return f'"{name}"'.encode() in (self._bytes(_CONFIG) or b"")

    def _artefacts(self, stage: str, kind: str, pattern: str) -> Iterator[Artefact]:
        for entry in self.stages.get(stage, {}).get(kind, ()):
            if Path(entry["path"]).match(pattern) and "md5" in entry:
                yield Artefact(
                    entry["path"], entry["md5"], entry.get("size", 0), entry.get("nfiles", 1)
                )

    def _bytes(self, path: str) -> bytes | None:
        if self.commit is not None:
            return _show(self.project, self.commit.digest, path)
        file = self.project / path
        return file.read_bytes() if file.is_file() else None


def read_locks(project: Path) -> Iterator[Lock]:
    """Every state of dvc.lock: the workspace's first, then the commits', newest first.

    A commit in which it cannot be read (conflict marks, say) is yielded with its `fault`.

    Raises:
        ValueError: the workspace's is damaged.
    """
    yield workspace_lock(project)
    for commit in _commits(project, "HEAD", _LOCK):
        content = _show(project, commit.digest, _LOCK)
        if content is None:  # the commit deleted it
            continue
        try:
            yield Lock(project, commit, _parsed(content, f"{commit.short}:{_LOCK}"))
        except ValueError as error:
            yield Lock(project, commit, {}, fault=str(error))


def workspace_lock(project: Path) -> Lock:
    """dvc.lock as it stands in the project's folder; without stages where there is none.

    Raises:
        ValueError: it is damaged.
    """
    path = project / _LOCK
    content = path.read_bytes() if path.is_file() else b""
    return Lock(project, None, _parsed(content, _LOCK))


def lock_at(project: Path, revision: str) -> Lock:
    """dvc.lock at a git revision: a commit, a tag, a branch, `HEAD~3`.

    Raises:
        ValueError: there is no such revision, or no readable dvc.lock in it.
    """
    commit = next(iter(_commits(project, revision, newest=1)), None)
    if commit is None:
        raise ValueError(
            f"{revision}: no such commit, tag or branch here; `perennial data` lists the commits"
        )
    content = _show(project, commit.digest, _LOCK)
    if content is None:
        raise ValueError(
            f"{revision}: the commit {commit.short} has no {_LOCK}; "
            "`perennial data` lists the commits that have one"
        )
    return Lock(project, commit, _parsed(content, f"{commit.short}:{_LOCK}"))


def _commits(project: Path, revision: str, path: str = "", newest: int = -1) -> list[Commit]:
    """The commits that led to a revision, newest first; none where git knows no such revision."""
    listed = _git(
        project,
        "log",
        "--no-show-signature",
        f"--format={_FIELDS}",
        f"--max-count={newest}",
        "--end-of-options",
        revision,
        "--",
        *([path] if path else []),
    )
    # A subject may hold what else Python takes for the end of a line.
    lines = (listed or b"").decode("utf-8", "replace").split("\n")
    return [Commit(*line.split("\x1f", 2)) for line in lines if line]


def _show(project: Path, commit: str, path: str) -> bytes | None:
    return _git(project, "show", f"{commit}:./{path}")


def _git(project: Path, *words: str) -> bytes | None:
    """What git says; None where it refuses."""
    command = ["git", "-C", str(project), *words]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _parsed(content: bytes, name: str) -> Mapping[str, Mapping[str, Any]]:
    try:
        read = yaml.load(content, Loader=_LOADER) or {}  # noqa: S506 - both are safe
        stages = read.get("stages", {})
        if not all(isinstance(stage, dict) for stage in stages.values()):
            raise TypeError
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{name}: damaged (a conflict of git?); `git checkout {_LOCK}` brings the last one back"
        ) from error
    return dict(stages)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
