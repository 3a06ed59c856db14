"""Who a person talks to in the terminal: the champion in this process, or a server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dialogue.config import Params
    from dialogue.serving.store import Opinion

_CONNECT_SECONDS = 10.0
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class NoReplyError(Exception):
    """There is no (more) reply, for the reason that stands in the message."""


class Partner(Protocol):
    """Somebody to talk to."""

    label: str
    """Who answered last, as `name@version`."""

    def answer(self, messages: list[dict[str, str]]) -> Generator[str, None, None]:
        """A reply, piece by piece; closing it stops the reply.

        Raises:
            NoReplyError: there is none.
        """

    def rate(self, opinion: Opinion, reason: str) -> None:
        """Keep an opinion of the last reply.

        Raises:
            NoReplyError: there is none to rate, or it could not be kept.
        """

    def close(self) -> None:
        """Leave."""


class LocalPartner:
    """The champion in this process; its replies are kept as the server keeps them."""

    def __init__(self, params: Params, project: Path, model_folder: Path | None) -> None:
        from tasks.serve import REPLIES, to_be_served, use_patient_threads

        use_patient_threads()
        # Before torch is loaded: that there is no champion yet is said at once.
        served = to_be_served(params, project=project, model_folder=model_folder)
        from dialogue.serving.engine import Engine
        from dialogue.serving.loading import load
        from dialogue.serving.store import ReplyStore

        self.label = served.label
        self._settings = params.serve
        self._store = ReplyStore(project / REPLIES)
        self._engine = Engine(
            load(served),
            params.serve,
            record=lambda _, answer: self._store.add_answer(answer),
            failed=lambda _: None,
        )
        self._last: str | None = None

    def answer(self, messages: list[dict[str, str]]) -> Generator[str, None, None]:
        """See `Partner`."""
        import queue

        from dialogue.serving.jobs import Event, Failed, Piece
        from dialogue.serving.protocol import ChatRequest

        self._last = None
        events: queue.Queue[Event] = queue.Queue()
        question = ChatRequest.model_validate({"messages": messages}).question(self._settings)
        job = self._engine.submit(question, events.put)
        event: Event | None = None
        try:
            while isinstance(event := events.get(), Piece):
                self._last = job.id
                yield event.text
            if isinstance(event, Failed):
                raise NoReplyError(event.message)
        finally:
            job.cancel()
            # What was said until now is kept before anybody can rate it.
            while event is None or isinstance(event, Piece):
                event = events.get()
            # A failed reply is not kept.
            self._last = None if isinstance(event, Failed) else job.id

    def rate(self, opinion: Opinion, reason: str) -> None:
        """See `Partner`."""
        if self._last is None:
            raise NoReplyError("there is no reply to rate yet")
        try:
            self._store.add_rating(self._last, opinion, reason)
        except (OSError, LookupError) as error:
            raise NoReplyError(str(error)) from None

    def close(self) -> None:
        """See `Partner`."""
        self._engine.close()
        self._store.close()


class RemotePartner:
    """A server that speaks OpenAI's chat protocol, by its address."""

    def __init__(self, url: str) -> None:
        """Ask the server who it serves.

        Raises:
            ValueError: no such server answers.
        """
        import httpx

        self._url = url.rstrip("/").removesuffix("/v1")
        with contextlib.ExitStack() as stack:
            try:
                # A proxy of the surroundings knows nothing of this machine's own servers.
                trusting = httpx.URL(self._url).host not in _THIS_MACHINE
                # A reply may be long in coming; a connection may not.
                timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
                client = httpx.Client(base_url=self._url, timeout=timeout, trust_env=trusting)
                self._client = stack.enter_context(client)
                models = client.get("/v1/models", timeout=_CONNECT_SECONDS).raise_for_status()
                self.label = str(models.json()["data"][0]["id"])
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
                raise ValueError(
                    f"no chat server answers at {url} ({error}): start one with `perennial serve`"
                ) from None
            stack.pop_all()
        self._last: str | None = None

    def answer(self, messages: list[dict[str, str]]) -> Generator[str, None, None]:
        """See `Partner`."""
        import httpx

        self._last = None
        body = {"messages": messages, "stream": True}
        try:
            with self._client.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.status_code != 200:
                    response.read()
                    raise NoReplyError(_refusal(response))
                for line in response.iter_lines():
                    if line == "data: [DONE]":
                        return
                    if line.startswith("data: "):
                        yield from self._text(line.removeprefix("data: "))
        except httpx.HTTPError as error:
            raise NoReplyError(f"the server at {self._url} broke off: {error}") from None
        raise NoReplyError("the reply broke off")

    def rate(self, opinion: Opinion, reason: str) -> None:
        """See `Partner`."""
        import httpx

        if self._last is None:
            raise NoReplyError("there is no reply to rate yet")
        body = {"reply_id": self._last, "rating": opinion, "reason": reason}
        try:
            response = self._client.post("/v1/feedback", json=body, timeout=_CONNECT_SECONDS)
        except httpx.HTTPError as error:
            raise NoReplyError(f"the server at {self._url} broke off: {error}") from None
        if response.status_code != 201:
            raise NoReplyError(_refusal(response))

    def close(self) -> None:
        """See `Partner`."""
        self._client.close()

    def _text(self, data: str) -> list[str]:
        """The texts of one event."""
        try:
            part = json.loads(data)
            if "error" in part:
                self._last = None
                raise NoReplyError(str(part["error"]["message"]))
            self._last, self.label = str(part["id"]), str(part["model"])
            deltas = [choice["delta"].get("content") for choice in part["choices"]]
        except (ValueError, LookupError, TypeError, AttributeError):
            raise NoReplyError(f"the server at {self._url} said what is no chat: {data}") from None
        return [str(text) for text in deltas if text]


def _refusal(response: Any) -> str:
    """What an OpenAI error body says, or the bare status."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return f"the server answered with status {response.status_code}"
