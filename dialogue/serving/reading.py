"""Reads request bodies, within bounds."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from dialogue.serving.errors import ApiError

_BODY_SECONDS = 20.0
"""A body that takes longer is not waited for."""


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read a JSON body, and stop reading as soon as it is too large.

    Raises:
        ApiError: 400, 408, 413 or 415.
    """
    # A form on a foreign web page can send any other type here without asking.
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "send JSON, and say so: `Content-Type: application/json`")
    close = {"Connection": "close"}
    too_large = ApiError(413, f"the body is larger than {max_bytes} bytes", headers=close)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > max_bytes:
                    raise too_large
    except ClientDisconnect:
        raise ApiError(400, "the body broke off", headers=close) from None
    except TimeoutError:
        raise ApiError(408, "the body did not arrive in time", headers=close) from None
    return bytes(body)
