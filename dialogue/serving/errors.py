"""Refusals in OpenAI's form."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response


class ApiError(Exception):
    """A request that is refused: status, one line for people, and the field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """OpenAI's error object."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        if self.status == 429:
            kind = "rate_limit_error"
        fault = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": fault}

    def response(self) -> Response:
        """The refusal as it is sent; lone surrogates that a client wrote stay escaped."""
        return Response(
            json.dumps(self.body),
            status_code=self.status,
            media_type="application/json",
            headers=self.headers,
        )
