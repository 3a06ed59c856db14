"""`perennial doctor`: what this machine lacks, and how to mend it."""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import os
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from tasks._environment import quiet_environment

_PYTHONS = ((3, 11), (3, 13))
_DISK_GIB = 5.0
_MEMORY_GIB = 6.0
_REGISTRY_SECONDS = 10.0
_MARKS = {"fine": ("✓", "green"), "note": ("–", "yellow"), "missing": ("✗", "red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `mend` is what to do where it is not fine."""

    state: Literal["fine", "note", "missing"]
    what: str
    found: str
    mend: str = ""


def doctor_command() -> None:
    """Look over this machine and this project; exit status 1 where something is missing."""
    from rich.text import Text

    from perennial.terminal import open_console

    project = Path.cwd()
    quiet_environment(project)
    console = open_console()
    missing = 0
    for finding in _findings(project):
        mark, style = _MARKS[finding.state]
        missing += finding.state == "missing"
        console.print(
            Text.assemble((mark, style), f" {finding.what:<12} {finding.found}"), soft_wrap=True
        )
        if finding.mend:
            console.print(Text(f"  {'':<12} → {finding.mend}"), soft_wrap=True)
    if missing:
        console.print(f"{missing} missing.")
        raise typer.Exit(1)
    console.print("Nothing is missing.")


def _findings(project: Path) -> Iterator[Finding]:
    checks: tuple[Callable[[Path], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _project,
        _space,
        _processor,
        _registry,
        _tracking,
        _stores,
    )
    for check in checks:
        yield from check(project)


def _python(_project: Path) -> Iterator[Finding]:
    version = platform.python_version()
    if _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]:
        yield Finding("fine", "python", version)
    else:
        mend = "make the environment with Python 3.11 to 3.13: `make PYTHON=python3.12 run`"
        yield Finding("missing", "python", f"{version}, tested are 3.11 to 3.13", mend)


def _packages(project: Path) -> Iterator[Finding]:
    lock = project / "requirements.lock"
    if not lock.is_file():
        yield Finding("missing", "packages", "no requirements.lock", "restore it from git")
        return
    pins = list(_pins(lock))
    wrong = [f"{name} {_installed(name)}, not {pin}" for name, pin in pins if _differs(name, pin)]
    if not wrong:
        yield Finding("fine", "packages", f"all {len(pins)} of requirements.lock")
        return
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    mend = "`.venv/bin/pip install -r requirements.lock`"
    yield Finding("missing", "packages", f"{', '.join(wrong[:3])}{more}", mend)


def _pins(lock: Path) -> Iterator[tuple[str, str]]:
    """Name and version of what the lock asks for on this Python and this system."""
    from packaging.requirements import Requirement

    for line in lock.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement.name, str(requirement.specifier).removeprefix("==")


def _differs(name: str, pin: str) -> bool:
    # torch's CPU build calls itself 2.13.0+cpu, and is 2.13.0.
    return _installed(name).partition("+")[0] != pin.partition("+")[0]


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _project(project: Path) -> Iterator[Finding]:
    from dialogue.config import load_params
    from tasks.graph import check_project

    if shutil.which("git") is None:
        yield Finding("missing", "git", "not installed", "install git")
    try:
        check_project(project)
        yield Finding("fine", "project", f"{project}: git and DVC are set up")
    except ValueError as error:
        found, _, mend = str(error).partition("; ")
        yield Finding("missing", "project", found, mend)
        return
    try:
        params = load_params(project / "params.yaml")
    except ValueError as error:
        for line in str(error).splitlines():
            yield Finding("missing", "settings", line)
        return
    yield Finding("fine", "settings", f"profile {params.profile}, {len(params.curriculum)} domains")
    yield _port(params.serve.host, params.serve.port)


def _port(host: str, port: int) -> Finding:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family):
            return Finding("fine", "port", f"{host}:{port} is free")
    except UnicodeError as error:
        mend = "correct `serve.host` in params.yaml"
        return Finding("missing", "port", f"{host}: {error}", mend)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            mend = "correct `serve.host` or `serve.port` in params.yaml"
            return Finding("missing", "port", f"{host}:{port}: {error.strerror}", mend)
        mend = "unless it is `perennial serve`, stop it or set `serve.port` in params.yaml"
        return Finding("note", "port", f"somebody listens on {host}:{port}", mend)


def _space(project: Path) -> Iterator[Finding]:
    import psutil

    free = shutil.disk_usage(project).free / 2**30
    mend = f"a first run needs about {_DISK_GIB:.0f} GiB; make room"
    fine = free >= _DISK_GIB
    yield Finding(
        "fine" if fine else "missing", "disk", f"{free:.1f} GiB free", "" if fine else mend
    )
    memory = psutil.virtual_memory().available / 2**30
    mend = f"a run may take {_MEMORY_GIB:.0f} GiB; end other programs, or `perennial profile tiny`"
    fine = memory >= _MEMORY_GIB
    found = f"{memory:.1f} GiB available"
    yield Finding("fine" if fine else "note", "memory", found, "" if fine else mend)


def _processor(_project: Path) -> Iterator[Finding]:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fast = any(flag in flags for flag in ("avx512_bf16", "amx_bf16"))
    found = f"{os.cpu_count()} cores, " + ("bf16 in hardware" if fast else "no bf16 in hardware")
    mend = "" if fast else "training runs in fp32, several times slower"
    yield Finding("fine" if fast else "note", "processor", found, mend)


def _registry(_project: Path) -> Iterator[Finding]:
    """Asked through pip, with whatever index, proxy and certificates it is set up for."""
    command = [sys.executable, "-m", "pip", "--retries", "0", "--timeout", "5"]
    command += ["--disable-pip-version-check", "index", "versions", "hassil"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        answer = subprocess.run(
            command, capture_output=True, timeout=_REGISTRY_SECONDS, check=False
        )
        if answer.returncode == 0:
            yield Finding("fine", "registry", "pip reaches the package registry")
            return
    mend = "sources of kind `wheel` are fetched from it once; check pip's index and proxy"
    yield Finding("note", "registry", "pip does not reach the package registry", mend)


def _tracking(_project: Path) -> Iterator[Finding]:
    from tasks.stores import check_tracking

    try:
        check_tracking()
    except ValueError as error:
        found, _, mend = str(error).partition("; ")
        yield Finding("missing", "mlflow", found, mend)


def _stores(project: Path) -> Iterator[Finding]:
    import sqlalchemy as sa

    from tasks import releases

    for name in ("mlflow.db", releases.DATABASE):
        path = project / name
        if path.is_file():
            yield _database(path)
    elsewhere = bool(os.environ.get(releases.URL_VARIABLE))
    champion = None
    # Opening the store would make the file.
    if elsewhere or (project / releases.DATABASE).is_file():
        try:
            store = releases.open_store(project)
            champion = releases.champion(store)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            mend = f"mend {releases.DATABASE} first"
            if elsewhere:
                mend = f"start it, install its driver, or correct {releases.URL_VARIABLE}"
            yield Finding("missing", "champion", str(error).partition("\n")[0], mend)
            return
    if champion is None:
        yield Finding("note", "champion", "there is none yet", "`perennial run` makes one")
        return
    try:
        releases.model_folder(store, champion.digest)
        yield Finding("fine", "champion", f"{champion.name}, every byte of it is whole")
    except ValueError as error:
        mend = "`perennial rollback --reason damaged`, or restore its folder"
        yield Finding("missing", "champion", str(error), mend)


def _database(path: Path) -> Finding:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check").fetchone()
    except sqlite3.DatabaseError as error:
        answer = str(error)
    if answer == "ok":
        return Finding("fine", "store", path.name)
    return Finding("missing", "store", f"{path.name}: {answer}", "restore it from a backup")
