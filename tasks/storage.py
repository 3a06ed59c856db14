"""The DVC door to stored data: which bytes are in the workspace, in the cache and in a remote."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tasks._lock_history import Artefact
from tasks.graph import one_line

Held = Literal["whole", "part", "none"]
State = Literal["whole", "changed", "absent"]


@dataclass(frozen=True, slots=True)
class Remote:
    """Where `dvc push` puts data; `asked` is whether it was asked what it holds."""

    name: str
    url: str
    asked: bool


@dataclass(frozen=True)
class Storage:
    """The project's stored data, as it is found; nothing in it writes."""

    remote: Remote | None
    """The one that was named, or DVC's default; None where there is none."""
    _repo: Any = field(repr=False)
    _remote_odb: Any = field(repr=False)

    def in_cache(self, artefact: Artefact) -> Held:
        """How much of an output DVC's cache holds."""
        return self._held(self._repo.cache.local, artefact)

    def in_remote(self, artefact: Artefact) -> Held | None:
        """How much of an output the remote holds; None where none was asked.

        Raises:
            ValueError: the remote does not answer.
        """
        if self._remote_odb is None or self.remote is None:
            return None
        try:
            return self._held(self._remote_odb, artefact)
        except Exception as error:
            raise ValueError(_unreachable(self.remote, error)) from error

    def cached_file(self, artefact: Artefact, name: str) -> Path | None:
        """A file of an output where it lies in the cache, unverified; None where it does not."""
        digest = (self._files(artefact) or {}).get(name)
        path = None if digest is None else Path(self._repo.cache.local.oid_to_path(digest))
        return path if path is not None and path.is_file() else None

    def state(self, artefact: Artefact) -> State:
        """How what lies in the workspace compares with an output of its dvc.lock."""
        if not (Path(self._repo.root_dir) / artefact.path).exists():
            return "absent"
        from dvc.exceptions import DvcException  # noqa: PLC0415

        try:
            out = next(
                out
                for out in self._repo.index.outs
                if Path(out.fs_path) == Path(self._repo.root_dir) / artefact.path
            )
            return "changed" if out.workspace_status() else "whole"
        except StopIteration:
            return "changed"
        except DvcException as error:
            raise ValueError(f"dvc.yaml: {one_line(error)}") from error

    def _held(self, odb: Any, artefact: Artefact) -> Held:
        files = self._files(artefact)
        if files is None:
            return "none"
        wanted = {artefact.digest, *files.values()}
        found = {digest for digest in wanted if odb.exists(digest)}
        return "whole" if found == wanted else "part" if found else "none"

    def _files(self, artefact: Artefact) -> dict[str, str] | None:
        """The output's files by name with their MD5, or None where nobody knows them any more."""
        if not artefact.digest.endswith(".dir"):
            return {Path(artefact.path).name: artefact.digest}
        for odb in (self._repo.cache.local, self._remote_odb):
            if odb is None or not odb.exists(artefact.digest):
                continue
            listed = json.loads(odb.fs.cat_file(odb.oid_to_path(artefact.digest)))
            return {entry["relpath"]: entry["md5"] for entry in listed}
        return None


@contextlib.contextmanager
def open_storage(project: Path, remote: str | None = None) -> Iterator[Storage]:
    """Look into what DVC stored for a project; takes no lock, so a run may go on beside it.

    Args:
        project: the project's root.
        remote: asked by name; without a name DVC's default remote is asked where it is a folder
            of this machine, for another one would cost a connection.

    Raises:
        ValueError: DVC cannot read the project, or there is no such remote.
    """
    # Imported here: half a second that other commands need not pay.
    from dvc.exceptions import DvcException  # noqa: PLC0415
    from dvc.logger import set_loggers_level  # noqa: PLC0415
    from dvc.repo import Repo  # noqa: PLC0415

    # Above ERROR, DVC shows no progress bars of its own on our terminal.
    with set_loggers_level(logging.CRITICAL):
        try:
            repo = Repo(str(project))
        except DvcException as error:
            raise ValueError(f"{project / '.dvc'}: {one_line(error)}") from error
        with repo:
            yield Storage(*_remote(repo, remote))


def is_whole(path: Path) -> bool:
    """Whether a file of DVC's cache still holds the bytes that its name stands for."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest() == f"{path.parent.name}{path.name}"


def _remote(repo: Any, name: str | None) -> tuple[Remote | None, Any, Any]:
    """The remote, the repository, and the remote's objects where it is asked."""
    known = repo.config.get("remote", {})
    chosen = name or repo.config["core"].get("remote")
    if chosen is None:
        return None, repo, None
    if chosen not in known:
        raise ValueError(
            f".dvc/config: no remote `{chosen}`; there are {', '.join(known) or 'none'}, "
            "`dvc remote add` makes one"
        )
    url = str(known[chosen]["url"])
    remote = Remote(chosen, url, asked=name is not None or "://" not in url)
    if not remote.asked:
        return remote, repo, None
    try:
        return remote, repo, repo.cloud.get_remote_odb(chosen, "status")
    except Exception as error:
        raise ValueError(_unreachable(remote, error)) from error


def _unreachable(remote: Remote, error: BaseException) -> str:
    """What to say of whatever the library of that kind of remote raises."""
    if isinstance(error, ImportError):  # DVC's message names the package
        return (
            f"the remote `{remote.name}` ({remote.url}): {one_line(error)}; docs/data.md says how"
        )
    return (
        f"the remote `{remote.name}` ({remote.url}) does not answer: {one_line(error)}; check "
        "its address in .dvc/config and its credentials in .dvc/config.local"
    )
