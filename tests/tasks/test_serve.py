"""Real server processes, for candidates and champions."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from dialogue.config import Params
from dialogue.manifest import verify_manifest
from dialogue.serving.store import ReplyStore
from tasks import releases
from tasks.releases import Release
from tasks.serve import REPLIES, serve, smoke

ROOT = Path(__file__).parents[2]
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def home(tmp_path: Path, params: Params) -> Path:
    """A project's folder with settings."""
    folder = tmp_path / "project"
    folder.mkdir()
    settings = params.model_dump(mode="json", by_alias=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def started(*options: str | Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    port = free_port()
    command = [sys.executable, "-m", "tasks.serve", "--port", str(port), *map(str, options)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30.0
        ) as client:
            eventually(lambda: process.poll() is not None or is_ready(client))
            yield process, client
    finally:
        process.terminate()
        process.communicate(timeout=20)


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready", timeout=1.0).status_code == 200
    except httpx.TransportError:
        return False


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def crown(home: Path, folder: Path, version: int) -> Release:
    """Make a model folder champion, as a promotion does."""
    store = releases.open_store(home)
    reigning = releases.champion(store)
    release = Release(verify_manifest(folder), version, folder, "run", {})
    releases.record(store, release)
    expected = None if reigning is None else reigning.digest
    releases.compare_and_set(
        store, expected, release, action="promote", actor="test", reason="test"
    )
    return release


def test_a_model_that_answers_passes_the_smoke_test(
    params: Params, scripted_model: Callable[..., Path], home: Path
) -> None:
    folder = scripted_model("Hé 🙂!")
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    found = smoke(params, folder)
    version = verify_manifest(folder)[:12]
    prompts = params.promote.smoke_repeats * list(params.promote.smoke_prompts)
    assert [answer["prompt"] for answer in found["answers"]] == prompts
    assert {answer["text"] for answer in found["answers"]} == {"Hé 🙂!"}
    assert {answer["model"] for answer in found["answers"]} == {f"perennial@{version}"}
    assert found["sentence"].startswith(f"PASS: {len(prompts)} answers, start ")
    values = {check["setting"]: check["value"] for check in found["checks"]}
    assert 0 < values["max_p95_seconds"] < values["max_start_seconds"]
    assert values["max_memory_mib"] > 50
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert not (home / REPLIES).exists()


def test_the_smoke_test_asks_for_the_likeliest_reply(
    params: Params, scripted_model: Callable[..., Path]
) -> None:
    """One unlucky draw is no reason to refuse a model."""
    heated = params.model_copy(
        update={"serve": params.serve.model_copy(update={"temperature": 2.0, "top_p": 1.0})}
    )
    found = smoke(heated, scripted_model("Hé 🙂!"))
    assert {answer["text"] for answer in found["answers"]} == {"Hé 🙂!"}


def test_a_model_that_says_nothing_fails_the_smoke_test(
    params: Params, scripted_model: Callable[..., Path]
) -> None:
    with pytest.raises(ValueError, match=r"smoke test: `Hello, .*` was answered with nothing"):
        smoke(params, scripted_model(""))


@pytest.mark.parametrize("setting", ["max_p95_seconds", "max_memory_mib"])
def test_a_server_that_breaks_a_bound_fails_the_smoke_test(
    params: Params, scripted_model: Callable[..., Path], setting: str
) -> None:
    bounds = params.promote.model_copy(update={setting: 1e-3, "smoke_repeats": 1})
    with pytest.raises(
        ValueError, match=rf"infrastructure FAIL: .*0\.001 allowed\), by promote\.{setting}$"
    ):
        smoke(params.model_copy(update={"promote": bounds}), scripted_model("Hello!"))


def test_a_damaged_model_fails_the_smoke_test_with_the_servers_words(
    params: Params, scripted_model: Callable[..., Path]
) -> None:
    folder = scripted_model("Hé 🙂!")
    with (folder / "model.safetensors").open("r+b") as weights:
        weights.write(b"\0")
    with pytest.raises(ValueError, match=r"smoke test: the server ended .*safetensors: damaged"):
        smoke(params, folder)


def test_the_champion_is_served_and_followed(
    home: Path, scripted_model: Callable[..., Path]
) -> None:
    old, new = scripted_model("oldς"), scripted_model("new🙂")
    crown(home, old, 3)
    with started("--project", home) as (process, client):
        assert client.get("/ready").json()["model"] == "perennial@3"
        with client.stream("POST", "/v1/chat/completions", json=HELLO) as response:
            reply = response.read()
        crown(home, new, 4)
        eventually(lambda: client.get("/ready").json()["model"] == "perennial@4")
        after = client.post("/v1/chat/completions", json=HELLO).json()
        assert (after["model"], after["choices"][0]["message"]["content"]) == (
            "perennial@4",
            "new🙂",
        )
        rating = {"reply_id": after["id"], "rating": "up"}
        assert client.post("/v1/feedback", json=rating).status_code == 201
        process.kill()  # nothing that was acknowledged may need a goodbye
        process.wait()
    assert "oldς".encode() in reply
    store = ReplyStore(home / REPLIES)
    assert [answer.version for answer in store.answers()] == ["3", "4"]
    assert store.ratings()[after["id"]].opinion == "up"
    store.close()


def test_a_server_ends_with_its_parent_but_its_replies_first(
    home: Path, scripted_model: Callable[..., Path]
) -> None:
    folder = scripted_model("blΔhm", endless=True, positions=2000)
    with started("--project", home, "--model", folder, "--with-parent") as (process, client):
        request = {**HELLO, "stream": True, "max_tokens": 200}
        with client.stream("POST", "/v1/chat/completions", json=request) as response:
            lines = response.iter_lines()
            next(lines)
            assert process.stdin is not None
            process.stdin.close()  # as when the parent is killed
            process.stdin = None
            assert list(lines)[-2:] == ["data: [DONE]", ""]
        process.wait(20)


def test_a_port_in_use_is_said_in_one_line(
    params: Params, home: Path, scripted_model: Callable[..., Path]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = rf"^port {port} on 127\.0\.0\.1 is in use: stop what listens there, or set `serve"
        with pytest.raises(ValueError, match=said):
            serve(params, project=home, port=port, model_folder=scripted_model("Hé 🙂!"))


def test_a_host_that_is_not_ours_is_said_in_one_line(params: Params, home: Path) -> None:
    for host, said in (("no.such.host.invalid", "serve.host"), ("192.0.2.1", "cannot listen on")):
        elsewhere = params.serve.model_copy(update={"host": host})
        with pytest.raises(ValueError, match=said):
            serve(
                params.model_copy(update={"serve": elsewhere}),
                project=home,
                port=free_port(),
                model_folder=None,
            )


def test_without_a_champion_nothing_is_served(params: Params, home: Path) -> None:
    with pytest.raises(ValueError, match="there is no champion yet to serve: run `perennial run`"):
        serve(params, project=home, port=free_port(), model_folder=None)


def test_faults_end_the_process_with_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tasks.serve", "--project", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
