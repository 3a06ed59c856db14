"""Where a run comes from: its process, the commit and the lock file it was made with."""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
from pathlib import Path

import psutil

from dialogue.digests import file_digest

_CLOCK_SECONDS = 5.0  # what a corrected clock may move a process's birth by


def git_commit(project: Path) -> str | None:
    """The commit that is checked out, or None outside a git repository."""
    command = ["git", "-C", str(project), "rev-parse", "--verify", "--quiet", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def committed(path: Path) -> str | None:
    """A file's text as the commit that is checked out has it, or None where it has none."""
    if not path.parent.is_dir():
        return None
    command = ["git", "-C", str(path.parent), "show", f"HEAD:./{path.name}"]
    found = subprocess.run(command, capture_output=True, check=False)
    return found.stdout.decode("utf-8", "replace") if found.returncode == 0 else None


def lock_digest(project: Path) -> str | None:
    """SHA-256 of dvc.lock: what every stage was made of; None before the first run."""
    path = project / "dvc.lock"
    return file_digest(path) if path.exists() else None


def user() -> str:
    """Who runs this; a container may know no name for its user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def dvc_process() -> str | None:
    """The nearest `dvc` above this process, as a key: all stages of one `dvc repro` share it."""
    for process in psutil.Process().parents():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if any(Path(word).name == "dvc" for word in command[:3]):
                return process_key(process)
    return None


def process_key(process: psutil.Process | None = None) -> str:
    """This process, or the one given: an id comes back, with the time of birth it does not."""
    process = process or psutil.Process()
    return f"{process.pid}-{process.create_time():.2f}"


def is_alive(key: str) -> bool:
    """Whether the process with this key still runs on this host."""
    pid, _, birth = key.partition("-")
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(birth)) < _CLOCK_SECONDS
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, ValueError):
        return False
