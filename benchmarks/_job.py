"""A clone of this project for benchmarks of the whole workflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tasks._environment import quiet_environment


def clone(folder: Path, profile: str) -> Path:
    """The committed project in an empty folder; `call` runs commands in it."""
    job = folder.resolve()
    shutil.rmtree(job, ignore_errors=True)
    job.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "-q", ".", str(job)], check=True)
    quiet_environment(job)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ["PYTHONPATH"] = str(job)
    if profile != "default":
        call(job, "perennial", "profile", profile)
    return job


def call(job: Path, *command: str) -> None:
    """Run a command of the project's there.

    Raises:
        SystemExit: it failed; with the last of what it said.
    """
    done = subprocess.run(command, cwd=job, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
