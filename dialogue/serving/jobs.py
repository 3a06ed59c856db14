"""What the engine is asked, and what it delivers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dialogue.decoding import Sampling
from dialogue.generation import Reply
from dialogue.records import Turn
from dialogue.serving.served import Served
from dialogue.serving.store import Answer, now


@dataclass(frozen=True, slots=True)
class Question:
    """What a client wants: a reply to `history`, which ends with the user's turn."""

    history: tuple[Turn, ...]
    sampling: Sampling
    stop: tuple[str, ...] = ()
    model: str | None = None
    """Whose reply is wanted, as `Served.refusal` reads it."""
    user: str | None = None
    conversation: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of a reply."""

    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no more text; `is_gone`: the model that was asked for is served no more."""

    message: str
    is_gone: bool = False


Event = Piece | Answer | Failed
"""A job delivers pieces, then either the whole answer, already durable, or a failure."""


class QueueFullError(Exception):
    """Too many replies are asked for at once."""

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(f"too many replies are being written; try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


@dataclass(slots=True)
class Job:
    """A question on its way to an answer."""

    question: Question
    served: Served
    """The current model; once the reply has begun, the one that writes it."""
    deliver: Callable[[Event], None]
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(16)}")
    cancelled: bool = False
    submitted: float = field(default_factory=time.monotonic)
    first_seconds: float | None = None
    """From the question to the first text."""
    num_prompt_tokens: int = 0
    reply: Reply | None = None
    was_cut: bool = False
    """Whether a stop string ended the reply."""

    def cancel(self) -> None:
        """Nobody listens any more: the reply ends after the token being chosen."""
        self.cancelled = True

    def say(self, text: str) -> None:
        """Hand text on."""
        if not text:
            return
        if self.first_seconds is None:
            self.first_seconds = time.monotonic() - self.submitted
        self.hand(Piece(text))

    def hand(self, event: Event) -> None:
        """Hand an event on; a listener that is gone cancels the job."""
        try:
            self.deliver(event)
        except RuntimeError:  # the listener's event loop is closed
            self.cancel()

    def answer(self) -> Answer:
        """What came of it."""
        if self.reply is not None and self.reply.finish_reason is None:
            self.reply.close()
        return Answer(
            id=self.id,
            time=now(),
            model=self.served.name,
            version=self.served.version,
            digest=self.served.digest,
            user=self.question.user,
            conversation=self.question.conversation,
            history=self.question.history,
            text="" if self.reply is None else self.reply.text,
            finish_reason=self._finish_reason(),
            num_prompt_tokens=self.num_prompt_tokens,
            num_tokens=0 if self.reply is None else self.reply.num_tokens,
            seconds=time.monotonic() - self.submitted,
        )

    def _finish_reason(self) -> str:
        if self.was_cut:
            return "stop_string"
        return (self.reply and self.reply.finish_reason) or "cancelled"
