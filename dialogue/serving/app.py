"""The server's HTTP side: OpenAI's chat protocol, feedback, health, metrics and one chat page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from dialogue.config import Serve
from dialogue.serving.engine import Engine
from dialogue.serving.errors import ApiError
from dialogue.serving.jobs import Event, Job, QueueFullError
from dialogue.serving.loading import Follower, Loaded
from dialogue.serving.metrics import Metrics
from dialogue.serving.protocol import (
    FeedbackRequest,
    model_card,
    model_not_found,
    parse_chat,
    parse_feedback,
)
from dialogue.serving.reading import read_body
from dialogue.serving.replies import ReplyStream, whole_reply
from dialogue.serving.served import Served
from dialogue.serving.store import Answer, Rating, ReplyStore

PAGE = Path(__file__).with_name("page.html")

_PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Server:
    """Everything the handlers share: the engine, the store, the counters."""

    def __init__(self, loaded: Loaded, settings: Serve, store: ReplyStore) -> None:
        self.settings = settings
        self.store = store
        self.metrics = Metrics()
        self.created = int(time.time())
        self.engine = Engine(loaded, settings, self._record, self.metrics.failed)
        self.metrics.watch(lambda: self.engine.num_waiting, lambda: self.engine.num_running)

    def _record(self, job: Job, answer: Answer) -> None:
        self.store.add_answer(answer)
        self.metrics.answered(job, answer)


def create_app(
    loaded: Loaded,
    settings: Serve,
    store: ReplyStore,
    resolve: Callable[[], Served | None] | None = None,
) -> FastAPI:
    """The ASGI application; it owns its threads from start-up to shutdown, and closes `store`.

    Args:
        loaded: the model to begin with.
        settings: bounds and sampling.
        store: where replies and ratings are kept.
        resolve: who is to be served now, asked every two seconds; None to stay with `loaded`.
    """
    server = Server(loaded, settings, store)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        engine = server.engine
        failed = server.metrics.swap_failures.inc
        follower = Follower(engine.served, resolve, engine.swap, failed) if resolve else None
        yield
        if follower is not None:
            await asyncio.to_thread(follower.close)
        await asyncio.to_thread(engine.close)
        store.close()

    # The generated documentation pages load scripts from elsewhere: they stay off.
    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.server = server
    app.add_middleware(_Counted, metrics=server.metrics)
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_api_route("/", _page, methods=["GET"])
    app.add_api_route("/health", _health, methods=["GET"])
    app.add_api_route("/ready", _ready, methods=["GET"])
    app.add_api_route("/metrics", _metrics, methods=["GET"])
    app.add_api_route("/v1/models", _models, methods=["GET"])
    app.add_api_route("/v1/models/{model}", _model, methods=["GET"])
    app.add_api_route("/v1/chat/completions", _chat, methods=["POST"])
    app.add_api_route("/v1/feedback", _feedback, methods=["POST"])
    return app


async def _page() -> Response:
    headers = {"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-cache"}
    return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=headers)


async def _health() -> Response:
    return JSONResponse({"status": "ok"})


async def _ready(request: Request) -> Response:
    engine = _server(request).engine
    served = engine.served
    state = {
        "status": "ready" if engine.alive else "stopped",
        "model": served.label,
        "digest": served.digest,
        "waiting": engine.num_waiting,
        "running": engine.num_running,
    }
    return JSONResponse(state, status_code=200 if engine.alive else 503)


async def _metrics(request: Request) -> Response:
    server = _server(request)
    text = server.metrics.exposition(server.engine.served)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _models(request: Request) -> Response:
    server = _server(request)
    cards = [model_card(server.engine.served, server.created)]
    return JSONResponse({"object": "list", "data": cards})


async def _model(request: Request, model: str) -> Response:
    server = _server(request)
    served = server.engine.served
    if refusal := served.refusal(model):
        raise model_not_found(refusal)
    return JSONResponse(model_card(served, server.created))


async def _chat(request: Request) -> Response:
    server = _server(request)
    body = await read_body(request, server.settings.max_body_bytes)
    asked = parse_chat(body, server.settings, server.engine.served)
    if not server.engine.alive:
        raise ApiError(503, "the server is going down; try again", headers={"Retry-After": "5"})
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event] = asyncio.Queue()

    def deliver(event: Event) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    try:
        job = server.engine.submit(asked.question(server.settings), deliver)
    except QueueFullError as error:
        retry = {"Retry-After": str(error.retry_seconds)}
        raise ApiError(429, str(error), code="queue_full", headers=retry) from None
    if asked.stream:
        return ReplyStream(asked, job, events)
    return await whole_reply(request, job, events)


async def _feedback(request: Request) -> Response:
    server = _server(request)
    rating = parse_feedback(await read_body(request, server.settings.max_body_bytes))
    try:
        kept, before, version = await asyncio.to_thread(_keep, server.store, rating)
    except LookupError as error:
        raise ApiError(404, str(error.args[0]), "reply_id", "reply_not_found") from None
    except OSError:
        message = "the rating could not be kept; try again later"
        raise ApiError(503, message, headers={"Retry-After": "30"}) from None
    if before is None or before.opinion != kept.opinion:
        server.metrics.ratings.labels(kept.opinion, version).inc()
    answer = {"object": "feedback", "reply_id": kept.reply_id, "rating": kept.opinion}
    return JSONResponse({**answer, "time": kept.time}, status_code=201)


def _keep(store: ReplyStore, asked: FeedbackRequest) -> tuple[Rating, Rating | None, str]:
    """Keep a rating; returns it, the one it replaces, and the version of the rated reply."""
    answer = store.answer(asked.reply_id)
    version = "" if answer is None else answer.version
    return *store.add_rating(asked.reply_id, asked.rating, asked.reason), version


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return ApiError(error.status_code, message, headers=error.headers).response()


def _server(request: Request) -> Server:
    server = request.app.state.server
    assert isinstance(server, Server)
    return server


class _Counted:
    """Counts requests by route and status; answers those whose handler broke."""

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def counting(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                route = scope.get("route")
                path = getattr(route, "path", "unknown")
                self._metrics.requests.labels(path, str(message["status"])).inc()
            await send(message)

        try:
            await self._app(scope, receive, counting)
        except Exception:
            if not begun:
                # What is raised here ends the connection, and is logged.
                close = {"Connection": "close"}
                fault = ApiError(500, "the server failed; its log says why", headers=close)
                await fault.response()(scope, receive, counting)
            raise
