"""Partners that say what the test wants."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from dialogue.config import Params, load_params
from dialogue.serving.app import create_app
from dialogue.serving.loading import load
from dialogue.serving.store import ReplyStore
from tasks.serve import REPLIES, to_be_served

ROOT = Path(__file__).parents[2]
Served = Callable[[Path], contextlib.AbstractContextManager[str]]


@pytest.fixture(scope="session")
def frank() -> Params:
    """Settings under which the likeliest token is always said."""
    params = load_params(ROOT / "params.yaml")
    serve = params.serve.model_copy(update={"temperature": 0.0, "max_new_tokens": 10_000})
    return params.model_copy(update={"serve": serve})


@pytest.fixture
def served(frank: Params, tmp_path: Path) -> Served:
    """Serves a model folder while the block runs; yields the server's address."""

    @contextlib.contextmanager
    def serve(folder: Path) -> Iterator[str]:
        model = load(to_be_served(frank, project=tmp_path, model_folder=folder))
        app = create_app(model, frank.serve, ReplyStore(tmp_path / REPLIES))
        with listening(app) as url:
            yield url

    return serve


@contextlib.contextmanager
def listening(app: object) -> Iterator[str]:
    config = uvicorn.Config(app, port=0, log_config=None, ws="none")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
