"""Real servers on loopback, with real models that say what the test wants."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from dialogue.config import Serve, load_params
from dialogue.manifest import verify_manifest
from dialogue.serving.app import create_app
from dialogue.serving.loading import Loaded, load
from dialogue.serving.served import Served
from dialogue.serving.store import ReplyStore

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def bounds() -> Serve:
    """Narrow ones, and the likeliest token always."""
    serve = load_params(ROOT / "params.yaml").serve
    narrow = {"max_body_bytes": 20_000, "max_turns": 6, "max_characters": 1_000, "max_queue": 3}
    fixed = {"max_batch": 2, "max_new_tokens": 30_000, "temperature": 0.0}
    return serve.model_copy(update={**narrow, **fixed, "repetition_penalty": 1.0})


@pytest.fixture(scope="session")
def loaded(scripted_model: Callable[..., Path]) -> Callable[..., Loaded]:
    """Makes models in memory that say a text; see `scripted_model`."""

    def make(text: str, version: str = "1", *, endless: bool = False) -> Loaded:
        # An endless model writes for a minute unless it is stopped.
        folder = scripted_model(text, endless=endless, positions=100_000 if endless else 512)
        return load(Served("perennial", version, verify_manifest(folder), folder))

    return make


@pytest.fixture(scope="session")
def polite(loaded: Callable[..., Loaded]) -> Loaded:
    """Says "Hé 🙂!" and ends."""
    return loaded("Hé 🙂!")


@pytest.fixture(scope="session")
def talkative(loaded: Callable[..., Loaded]) -> Loaded:
    """Says "blah " without end."""
    return loaded("blΔhm", "2", endless=True)


Serving = Callable[..., contextlib.AbstractContextManager[httpx.Client]]


@pytest.fixture
def serving(bounds: Serve, tmp_path: Path) -> Serving:
    """Serves a model while the block runs; yields a client."""

    def serve(
        model: Loaded,
        settings: Serve = bounds,
        resolve: Callable[[], Served | None] | None = None,
    ) -> contextlib.AbstractContextManager[httpx.Client]:
        return _served(model, settings, tmp_path / "replies.sqlite", resolve)

    return serve


@pytest.fixture(scope="module")
def patient(
    bounds: Serve, polite: Loaded, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of one server for many requests that leave no trace."""
    path = tmp_path_factory.mktemp("patient") / "replies.sqlite"
    with _served(polite, bounds, path, None) as client:
        yield client


@contextlib.contextmanager
def _served(
    model: Loaded, settings: Serve, path: Path, resolve: Callable[[], Served | None] | None
) -> Iterator[httpx.Client]:
    app = create_app(model, settings, ReplyStore(path), resolve)
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=address, trust_env=False, timeout=30.0) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(30.0)
    assert not thread.is_alive()
