"""Stages as processes: started as DVC starts them, read line by line, ended together."""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tasks.faults import USER_ERROR
from tasks.graph import ProjectBusy

Outcome = Literal["ran", "restored", "unchanged"]

_KEPT_LINES = 20
_QUIET_SECONDS = 10.0
_GRACE_SECONDS = 60.0
"""How long an interrupted stage may take to save its checkpoint."""
# Standard input ends when we do, however we end: then the stage is interrupted as by Ctrl-C.
_GUARDED = """
exec 3<&0
(read -r _ <&3; kill -INT 0) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
"""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_FAILED_COMMAND = re.compile(r"failed to run: .*, exited with (-?\d+)$")
_BUSY = re.compile(r"' is busy, it is being blocked by:\n *\((PID \d+)\)")
# What DVC says of itself; the flow says the same in fewer words.
_CHATTER = re.compile(
    r"Running stage '|> |(Generating|Updating) lock file|To track the changes|\s*git add |"
    r"To enable auto staging|\s*dvc config core\.autostage|Use `dvc push`|Stage '.*' didn't change|"
    r"Stage '.*' is cached|Data and pipelines are up to date"
)


class StageError(RuntimeError):
    """A stage's command failed; `lines` are the last that it wrote."""

    def __init__(self, stage: str, status: int, lines: tuple[str, ...]) -> None:
        super().__init__(stage, status, lines)
        self.stage, self.status, self.lines = stage, status, lines

    def __str__(self) -> str:
        """One line."""
        return f"the stage {self.stage} failed with exit status {self.status}"

    @property
    def errors(self) -> tuple[str, ...]:
        """What a person can mend, where the stage said so (exit status 2 and `error:` lines)."""
        if self.status != USER_ERROR:
            return ()
        lines = (line for line in self.lines if line.startswith("error: "))
        return tuple(line.removeprefix("error: ") for line in lines)


class StageInterruptedError(RuntimeError):
    """The stage was ended because somebody asked for it."""


@dataclass
class Listener:
    """Who hears what a stage writes: whole lines, and the state of a progress bar."""

    line: Callable[[str], None]
    progress: Callable[[str], None]


@dataclass
class Processes:
    """The stages that are running: several threads run them, one may end them all."""

    project: Path
    terminal: bool
    """Give stages a terminal of their own, so that their progress bars move."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for the stages beside our own."""
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def run(self, stage: str, listener: Listener, *, force: bool = False) -> Outcome:
        """Run one stage if it is stale (or by `force`), and wait for it.

        Returns:
            Whether its command ran, its outputs came from DVC's run cache, or nothing was stale.

        Raises:
            StageError: its command, or DVC itself, failed.
            ProjectBusy: another run is at the same files.
            StageInterruptedError: `stop` was called.
        """
        with self._started(stage, force) as (process, output):
            outcome, failed, tail = _follow(output, listener)
            status = process.wait()
        if self._stopped:
            raise StageInterruptedError(f"the stage {stage} was interrupted")
        if status and failed is None and (blocked := _BUSY.search("\n".join(tail))):
            raise ProjectBusy(
                f"another run is going on here ({blocked[1]}); "
                "wait until it has ended, then try again"
            )
        if status:
            raise StageError(stage, failed or status, tail)
        return outcome

    def stop(self) -> None:
        """Interrupt every running stage, and wait until each has saved what it can.

        A second interruption while it waits, or a minute, ends them at once.
        """
        with self._lock:
            self._stopped = True
            running = list(self._running.values())
        try:
            for process in running:
                _signal(process, signal.SIGINT)
            deadline = time.monotonic() + _GRACE_SECONDS
            for process in running:
                process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            pass
        finally:
            for process in running:
                _signal(process, signal.SIGKILL)

    @contextlib.contextmanager
    def _started(self, stage: str, force: bool) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        output, theirs = os.openpty() if self.terminal else os.pipe()
        try:
            with self._lock:
                if self._stopped:
                    raise StageInterruptedError(f"the stage {stage} was not started")
                process = self._start(stage, theirs, force)
                self._running[stage] = process
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(theirs)
        try:
            yield process, output
        finally:
            os.close(output)
            assert process.stdin is not None
            process.stdin.close()
            with self._lock:
                del self._running[stage]

    def _start(self, stage: str, output: int, force: bool) -> subprocess.Popen[bytes]:
        """Without --wait-for-lock, one of several stages at a time would give up on DVC's lock."""
        command = ["--wait-for-lock", "repro", "--single-item", stage]
        if force:
            command.insert(2, "--force")
        environment = {**os.environ, "PATH": _path(), "PYTHONUNBUFFERED": "1", **self.environment}
        return subprocess.Popen(
            ["/bin/sh", "-c", _GUARDED, "sh", sys.executable, "-m", "dvc", *command],
            cwd=self.project,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            # A Ctrl-C at the terminal reaches us alone; we pass it on, and wait.
            start_new_session=True,
        )


def _path() -> str:
    """PATH with this interpreter's folder first: dvc.yaml says `python`."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To DVC, its shell and the step alike; they are a process group of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _follow(output: int, listener: Listener) -> tuple[Outcome, int | None, tuple[str, ...]]:
    """Hand on everything a stage writes: how it went, the command's status, its last lines."""
    outcome: Outcome = "unchanged"
    status: int | None = None
    tail: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
    for line, whole in _lines(output):
        if not whole:
            listener.progress(line)
            continue
        if line.startswith("Running stage '"):
            outcome = "ran"
        elif line.startswith("Stage '") and "' is cached - " in line:
            outcome = "restored"
        if match := _FAILED_COMMAND.search(line):
            status = int(match[1])
        if line.strip() and match is None and not _CHATTER.match(line):
            tail.append(line)
            listener.line(line)
    return outcome, status, tuple(tail)


def _lines(output: int) -> Iterator[tuple[str, bool]]:
    """Lines with True as they end; with False, the state of the one that is being redrawn."""
    start = time.monotonic()
    pending = b""
    while True:
        if not select.select([output], [], [], _QUIET_SECONDS)[0]:
            yield f"… {time.monotonic() - start:.0f} s", False
            continue
        chunk = _read(output)
        if not chunk:
            break
        *ended, pending = (pending + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in ended:
            yield _visible(line), True
        if b"\r" in pending:
            yield _visible(pending), False
    if pending:
        yield _visible(pending), True


def _read(output: int) -> bytes:
    try:
        return os.read(output, 65536)
    except OSError as error:
        if error.errno == errno.EIO:  # how a Linux terminal says that nobody writes any more
            return b""
        raise


def _visible(line: bytes) -> str:
    """What is left to see of a line after its carriage returns, without colours."""
    text = _ESCAPES.sub("", line.decode(errors="replace"))
    return text.rstrip("\r").rpartition("\r")[2].rstrip()
