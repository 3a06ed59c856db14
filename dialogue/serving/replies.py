"""A job's events as an HTTP response: the whole reply, or server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from dialogue.serving.errors import ApiError
from dialogue.serving.jobs import Event, Failed, Job, Piece
from dialogue.serving.protocol import (
    ChatRequest,
    chunk,
    completion,
    finish_reason,
    model_not_found,
    usage_chunk,
)
from dialogue.serving.store import Answer

_QUIET_SECONDS = 10.0
"""A stream says something at least this often, so that no proxy takes it for dead."""
_CLIENT_GONE = 499


async def whole_reply(request: Request, job: Job, events: asyncio.Queue[Event]) -> Response:
    """Wait for the whole reply, or for the client to leave, which ends the job.

    Raises:
        ApiError: 503 where the reply failed or could not be kept; 404 where the model it was asked
            of is served no more.
    """
    gone = asyncio.create_task(_disconnected(request))
    try:
        while True:
            coming = asyncio.create_task(events.get())
            await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                return Response(status_code=_CLIENT_GONE)  # nobody reads it
            match coming.result():
                case Answer() as answer:
                    return JSONResponse(completion(answer, int(time.time())))
                case Failed() as failed:
                    raise _fault(failed)
    finally:
        gone.cancel()
        job.cancel()


class ReplyStream(StreamingResponse):
    """A reply as server-sent events; the job ends with the connection, however that ends."""

    def __init__(self, asked: ChatRequest, job: Job, events: asyncio.Queue[Event]) -> None:
        # A proxy that buffers would turn the stream into one late answer.
        quiet = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        self._job = job
        super().__init__(_sse(asked, job, events), media_type="text/event-stream", headers=quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply; ASGI's calling convention."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._job.cancel()


async def _sse(asked: ChatRequest, job: Job, events: asyncio.Queue[Event]) -> AsyncIterator[str]:
    created = int(time.time())
    begun = False
    while True:
        try:
            event = await asyncio.wait_for(events.get(), _QUIET_SECONDS)
        except TimeoutError:
            yield ": still writing\n\n"
            continue
        # Which model answers is certain once it has said something.
        label = job.served.label
        if not begun and not isinstance(event, Failed):
            begun = True
            opening = {"role": "assistant", "content": ""}
            yield _data(chunk(job.id, label, created, opening, None))
        match event:
            case Piece(text):
                yield _data(chunk(job.id, label, created, {"content": text}, None))
            case Failed() as failed:
                yield _data(_fault(failed).body)
                return
            case Answer() as answer:
                yield _data(chunk(job.id, label, created, {}, finish_reason(answer)))
                if asked.stream_options is not None and asked.stream_options.include_usage:
                    yield _data(usage_chunk(answer, label, created))
                yield "data: [DONE]\n\n"
                return


def _fault(failed: Failed) -> ApiError:
    if failed.is_gone:
        return model_not_found(failed.message)
    return ApiError(503, failed.message, headers={"Retry-After": "5"})


def _data(value: dict[str, Any]) -> str:
    # All but ASCII is escaped: many clients end a line at U+0085, U+2028 and U+2029 too.
    return f"data: {json.dumps(value)}\n\n"


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
