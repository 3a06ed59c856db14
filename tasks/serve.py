"""Serving the champion over HTTP, and proving first that a model can be served."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import yaml

from dialogue.config import Params, load_params
from dialogue.infrastructure import judge_server
from dialogue.manifest import read_manifest
from dialogue.serving.served import Served
from tasks import releases
from tasks._environment import quiet_environment
from tasks.faults import told_to_people

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger(__name__)

REPLIES = Path("feedback") / "replies.sqlite"
"""Where a project keeps what was served and what people said of it."""

_MAX_CONNECTIONS = 512
_GRACE_SECONDS = 30
"""How long replies that have begun may take to end when the server is told to stop."""
_STOP_SECONDS = 15.0
_SMOKE_TOKENS = 64


def serve(params: Params, *, project: Path, port: int | None, model_folder: Path | None) -> None:
    """Serve the champion until interrupted, following whoever is champion; or one model folder.

    Args:
        params: the settings; `serve` bounds the server, `register.model_name` names the model.
        project: holds the release store and `feedback/`.
        port: instead of `serve.port`.
        model_folder: serve this folder instead of the champion, and stay with it.

    Raises:
        ValueError: the port is taken, the host is unknown, there is no champion yet, or the model
            is missing or damaged.
    """
    use_patient_threads()
    import uvicorn  # noqa: PLC0415 - whoever only asks for `smoke` does without

    with _listen(params.serve.host, params.serve.port if port is None else port) as listener:
        config = uvicorn.Config(
            _app(params, project, model_folder),
            log_config=None,
            access_log=False,
            ws="none",
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        host, number = listener.getsockname()[:2]
        logger.info("listening at http://%s:%d", f"[{host}]" if ":" in host else host, number)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def use_patient_threads() -> None:
    """Let torch's threads spin only briefly while they wait; works before torch is imported.

    Threads that spin for long starve each other as soon as anything else runs on the machine:
    beside training runs, replies came at a twentieth of the speed. Two thousand turns cost 7 % of
    the speed on an idle machine, and keep half of it on a busy one.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def to_be_served(params: Params, *, project: Path, model_folder: Path | None) -> Served:
    """The champion, or the model of one folder, whose version is the beginning of its digest.

    Raises:
        ValueError: there is no champion yet, or the folder is no model.
    """
    name = params.register_.model_name
    if model_folder is not None:
        digest = str(read_manifest(model_folder)["digest"])
        return Served(name, digest[:12], digest, model_folder)
    champion = _champion(project, name)()
    if champion is None:
        raise ValueError("there is no champion yet to serve: run `perennial run` first")
    return champion


def smoke(params: Params, folder: Path) -> dict[str, Any]:
    """Serve a model folder in a process of its own, and talk to it as a client would.

    Every prompt of `promote.smoke_prompts` must be answered with text, `smoke_repeats` times, each
    within `smoke_seconds`, by the model that the folder holds; and the server must keep `promote`'s
    bounds of time and memory. The process ends in any case.

    Returns:
        `answers` (prompt, text, seconds, model), and the verdict: `sentence`, `num_answers`,
        `checks` (name, value, bound, unit, setting, passed).

    Raises:
        ValueError: what failed, and what the server said of it.
    """
    digest = str(read_manifest(folder)["digest"])
    settings = params.promote
    with tempfile.TemporaryDirectory(prefix="perennial-smoke-") as scratch:
        # A project of its own: what is said here must not become feedback.
        project = Path(scratch)
        values = params.model_dump(mode="json", by_alias=True)
        (project / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        port = _free_port()
        begun = time.monotonic()
        with (
            _server(project, folder.resolve(), port) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        ):
            _await_ready(client, process, project, digest, settings.max_start_seconds)
            start_seconds = time.monotonic() - begun
            answers = [
                _ask(client, prompt, digest, settings.smoke_seconds)
                for prompt in settings.smoke_repeats * settings.smoke_prompts
            ]
            peak = _peak_rss_mib(process.pid)
    found = judge_server(
        start_seconds=start_seconds,
        answer_seconds=[float(answer["seconds"]) for answer in answers],
        peak_rss_mib=peak,
        bounds=settings,
    )
    if found.failures:
        raise ValueError(f"infrastructure {found.sentence}")
    return {"answers": answers, **found.to_json()}


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (socket.gaierror, UnicodeError) as error:
        raise ValueError(f"serve.host: `{host}` is no address of this machine: {error}") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"port {port} on {host} is in use: stop what listens there, or set `serve.port`"
            ) from None
        raise ValueError(f"cannot listen on {host} port {port}: {error.strerror}") from None


def _app(params: Params, project: Path, model_folder: Path | None) -> FastAPI:
    served = to_be_served(params, project=project, model_folder=model_folder)
    from dialogue.serving.app import create_app  # noqa: PLC0415 - brings torch
    from dialogue.serving.loading import load  # noqa: PLC0415
    from dialogue.serving.store import ReplyStore  # noqa: PLC0415

    resolve = None if model_folder is not None else _champion(project, params.register_.model_name)
    loaded = load(served)
    logger.info("serving %s (%s)", served.label, served.folder)
    return create_app(loaded, params.serve, ReplyStore(project / REPLIES), resolve)


def _champion(project: Path, name: str) -> Callable[[], Served | None]:
    """A function that says who is champion; the folder's bytes are checked when it is loaded."""
    store = releases.open_store(project)

    def resolve() -> Served | None:
        release = releases.champion(store)
        if release is None:
            return None
        if not release.folder.is_dir():
            _fetch(project, name, release.digest)
        return Served(name, str(release.version), release.digest, release.folder)

    return resolve


def _fetch(project: Path, name: str, digest: str) -> None:
    """Bring a version's files from MLflow's server, where another machine registered it."""
    from tasks import registry  # noqa: PLC0415 - brings MLflow, which a server does without

    version = registry.version_of(project, name, digest)
    if version is not None:
        registry.version_folder(project, version)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def _server(project: Path, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tasks.serve", "--with-parent", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--project", str(project), "--model", str(folder)]
    with (project / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            # Ctrl-C at the terminal is for us; the server ends when we do.
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()


def _peak_rss_mib(pid: int) -> float:
    """The most resident memory of a process so far; what it has now where the system keeps none."""
    status = Path(f"/proc/{pid}/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def _await_ready(
    client: httpx.Client,
    process: subprocess.Popen[bytes],
    project: Path,
    digest: str,
    seconds: float,
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ValueError(
                f"smoke test: the server ended with status {process.returncode}: {_last(project)}"
            )
        with contextlib.suppress(httpx.TransportError):
            state = client.get("/ready", timeout=5.0)
            if state.status_code == 200 and state.json()["digest"] == digest:
                return
        time.sleep(0.05)
    raise ValueError(
        f"smoke test: the server was not ready after {seconds:g} s "
        f"(promote.max_start_seconds): {_last(project)}"
    )


def _last(project: Path) -> str:
    lines = (project / "server.log").read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"


def _ask(client: httpx.Client, prompt: str, digest: str, seconds: float) -> dict[str, Any]:
    request = {
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": _SMOKE_TOKENS,
        # Greedy: what is asked is whether the model answers, not whether one draw is lucky.
        "temperature": 0.0,
    }
    begun = time.monotonic()
    try:
        response = client.post("/v1/chat/completions", json=request, timeout=seconds)
        took = time.monotonic() - begun
        if response.status_code != 200:
            raise ValueError(f"status {response.status_code}: {response.text}")
        reply = response.json()
        text = reply["choices"][0]["message"]["content"]
        text.encode("utf-8")
    except httpx.TimeoutException:
        raise ValueError(f"smoke test: `{prompt}` had no answer after {seconds} s") from None
    except (httpx.TransportError, ValueError) as error:
        raise ValueError(f"smoke test: `{prompt}` failed: {error}") from None
    if took > seconds:
        raise ValueError(f"smoke test: `{prompt}` took {took:.1f} s, {seconds} s are allowed")
    if not text.strip():
        raise ValueError(f"smoke test: `{prompt}` was answered with nothing")
    if not reply["model"].endswith(f"@{digest[:12]}"):
        raise ValueError(f"smoke test: `{reply['model']}` answered, not the model {digest[:12]}")
    return {"prompt": prompt, "text": text, "seconds": took, "model": reply["model"]}


def _end_with_parent() -> None:
    """Stop this server when standard input ends: a killed parent leaves nobody behind."""

    def watch() -> None:
        # Not through sys.stdin: its lock, held here, would abort the interpreter's shutdown.
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.serve", description=serve.__doc__)
    parser.add_argument("--project", type=Path, default=Path(), help="the project's folder")
    parser.add_argument("--model", type=Path, help="serve this folder instead of the champion")
    parser.add_argument("--host", help="instead of serve.host")
    parser.add_argument("--port", type=int, help="instead of serve.port")
    parser.add_argument("--with-parent", action="store_true", help="stop when stdin ends")
    options = parser.parse_args()
    quiet_environment(options.project)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    if options.with_parent:
        _end_with_parent()
    with told_to_people():
        params = load_params(options.project / "params.yaml")
        if options.host:
            bound = params.serve.model_copy(update={"host": options.host})
            params = params.model_copy(update={"serve": bound})
        serve(params, project=options.project, port=options.port, model_folder=options.model)


if __name__ == "__main__":
    _main()
