"""A Prefect server for the time of one command, where no other is named.

Prefect's own ephemeral server shares our process group: a Ctrl-C would end it before the flow run
could be written down as crashed, and the client would try to reach it for half a minute. This one
starts in a session of its own, at once, so that it comes up while the rest is still being read.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

_START_SECONDS = 120.0
# Standard input ends when we do, however we end: then the server is ended too.
_GUARDED = """
exec 3<&0
"$@" 3<&- </dev/null & server=$!
(read -r _ <&3; kill $server) &
wait $server
"""
_STOP_SECONDS = 10.0
_ANSWER_SECONDS = 5.0
_DRAIN_SECONDS = 10.0


@contextlib.contextmanager
def prefect_server(project: Path) -> Iterator[None]:
    """Within it flows run against PREFECT_API_URL, or else against a server of ours.

    The server keeps its database in PREFECT_HOME, so runs of several commands stand side by side,
    and `prefect server start` shows them all.

    Raises:
        ValueError: the server that is named does not answer, or ours does not come up.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        _check_answers(url)
        yield
    else:
        with _own_server(project):
            yield


@contextlib.contextmanager
def _own_server(project: Path) -> Iterator[None]:
    home = Path(os.environ.get("PREFECT_HOME", project / ".prefect"))
    home.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{_free_port()}/api"
    process = _start(url, home / "server.log")
    try:
        # Imported while the server comes up; both take seconds.
        from prefect.events.worker import EventsWorker  # noqa: PLC0415
        from prefect.logging.handlers import APILogHandler  # noqa: PLC0415
        from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415

        _wait_until_healthy(process, url, home / "server.log")
        with temporary_settings(updates={PREFECT_API_URL: url}):
            try:
                yield
            finally:
                # What is still queued would be sent to a server that is gone.
                APILogHandler().flush()
                EventsWorker.drain_all(timeout=_DRAIN_SECONDS)
    finally:
        _stop(process)


def _check_answers(url: str) -> None:
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=_ANSWER_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ValueError(
            f"PREFECT_API_URL: nothing answers at {url} ({error}); start `prefect server start`, "
            "or unset it for a server of our own"
        ) from None


def _start(url: str, log: Path) -> subprocess.Popen[bytes]:
    port = url.removesuffix("/api").rpartition(":")[2]
    # Ours is quiet on the terminal; the log file is where a failing start is explained.
    environment = {**os.environ}
    environment.pop("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", None)
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--host=127.0.0.1"]
    with log.open("wb") as output:
        return subprocess.Popen(
            ["/bin/sh", "-c", _GUARDED, "sh", *command, f"--port={port}"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", timeout=2).is_success:
                return
        time.sleep(0.1)
    raise ValueError(f"the Prefect server did not start; {log} says why")


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
