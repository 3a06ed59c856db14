"""OpenAI's chat protocol: what a request may say, and what is answered.

Fields follow https://platform.openai.com/docs/api-reference/chat. What this server does not do is
refused by name; what changes nothing is accepted.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dialogue.config import Serve
from dialogue.decoding import Sampling
from dialogue.records import Role, Turn
from dialogue.serving.errors import ApiError
from dialogue.serving.jobs import Question
from dialogue.serving.served import Served
from dialogue.serving.store import Answer, Opinion

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
Name = Annotated[str, Field(max_length=128)]
Body = TypeVar("Body", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _null_says_nothing(cls, value: Any) -> Any:
        """OpenAI's clients write null for what they leave open, and send replies back so."""
        if not isinstance(value, dict):
            return value
        return {name: said for name, said in value.items() if said is not None}


class _Part(_Body):
    type: Literal["text"]
    text: str


class _Message(_Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part]
    name: Name | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content)


class _StreamOptions(_Body):
    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class _ResponseFormat(_Body):
    type: Literal["text"]


class ChatRequest(_Body):
    """The body of POST /v1/chat/completions; `metadata.conversation` names the conversation."""

    messages: list[_Message] = Field(min_length=1)
    model: Name | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: Annotated[str, Field(min_length=1, max_length=64)] | list[Name] | None = None
    user: Name | None = None
    metadata: dict[Name, Annotated[str, Field(max_length=512)]] | None = None
    # These are accepted with the one value that asks for nothing.
    n: Literal[1] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    logprobs: Literal[False] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    response_format: _ResponseFormat | None = None
    store: bool | None = None

    def question(self, settings: Serve) -> Question:
        """The question behind the request; what it leaves open comes from `settings`."""
        asked = self.max_completion_tokens or self.max_tokens or settings.max_new_tokens
        sampling = Sampling(
            max_new_tokens=min(asked, settings.max_new_tokens),
            temperature=settings.temperature if self.temperature is None else self.temperature,
            top_p=settings.top_p if self.top_p is None else self.top_p,
            repetition_penalty=settings.repetition_penalty,
            seed=self.seed,
        )
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Question(
            history=tuple(Turn(_ROLES[message.role], message.text) for message in self.messages),
            sampling=sampling,
            stop=tuple(stop),
            model=self.model,
            user=self.user,
            conversation=(self.metadata or {}).get("conversation"),
        )


class FeedbackRequest(_Body):
    """The body of POST /v1/feedback."""

    reply_id: Name
    rating: Opinion
    reason: Annotated[str, Field(max_length=2000)] = ""


def parse_chat(body: bytes, settings: Serve, served: Served) -> ChatRequest:
    """Check a chat request against the protocol and the server's bounds.

    Raises:
        ApiError: 400 where it is no JSON, 404 for another model, 422 for anything else.
    """
    request = _validated(ChatRequest, body)
    if refusal := served.refusal(request.model):
        raise model_not_found(refusal)
    turns = len(request.messages)
    if turns > settings.max_turns:
        raise ApiError(
            422,
            f"{turns} messages, at most {settings.max_turns} are read; begin a new conversation",
            param="messages",
        )
    characters = sum(len(message.text) for message in request.messages)
    if characters > settings.max_characters:
        raise ApiError(
            422,
            f"{characters} characters, at most {settings.max_characters} are read; "
            "say less, or begin a new conversation",
            param="messages",
            code="context_length_exceeded",
        )
    if request.messages[-1].role != "user" or not request.messages[-1].text.strip():
        raise ApiError(422, "the last message must be the user's, and say something", "messages")
    if isinstance(request.stop, list) and not (0 < len(request.stop) <= 4 and all(request.stop)):
        raise ApiError(422, "`stop` takes one to four strings that are not empty", "stop")
    return request


def model_not_found(refusal: str) -> ApiError:
    """The answer to a request for a model that is not served, or no more."""
    return ApiError(404, refusal, param="model", code="model_not_found")


def parse_feedback(body: bytes) -> FeedbackRequest:
    """Check a rating.

    Raises:
        ApiError: 400 where it is no JSON, 422 where a field is missing or wrong.
    """
    return _validated(FeedbackRequest, body)


def model_card(served: Served, created: int) -> dict[str, Any]:
    """One entry of GET /v1/models."""
    return {
        "id": served.label,
        "object": "model",
        "created": created,
        "owned_by": served.name,
        "digest": served.digest,
    }


def completion(answer: Answer, created: int) -> dict[str, Any]:
    """A whole reply."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text, "refusal": None},
        "finish_reason": finish_reason(answer),
        "logprobs": None,
    }
    head = _head(answer.id, "chat.completion", created, f"{answer.model}@{answer.version}")
    fingerprint = {"system_fingerprint": answer.digest[:12]}
    return {**head, **fingerprint, "choices": [choice], "usage": usage(answer)}


def finish_reason(answer: Answer) -> str:
    """Why the reply ended, as OpenAI tells it: a stop string is no reason of its own."""
    return "stop" if answer.finish_reason == "stop_string" else answer.finish_reason


def chunk(
    reply_id: str, label: str, created: int, delta: dict[str, str], finish_reason: str | None
) -> dict[str, Any]:
    """A part of a streamed reply."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    return {**_head(reply_id, "chat.completion.chunk", created, label), "choices": [choice]}


def usage_chunk(answer: Answer, label: str, created: int) -> dict[str, Any]:
    """The last part of a streamed reply whose client asked for `stream_options.include_usage`."""
    head = _head(answer.id, "chat.completion.chunk", created, label)
    return {**head, "choices": [], "usage": usage(answer)}


def usage(answer: Answer) -> dict[str, int]:
    """How many tokens were read and written."""
    return {
        "prompt_tokens": answer.num_prompt_tokens,
        "completion_tokens": answer.num_tokens,
        "total_tokens": answer.num_prompt_tokens + answer.num_tokens,
    }


def _head(reply_id: str, kind: str, created: int, label: str) -> dict[str, Any]:
    return {"id": reply_id, "object": kind, "created": created, "model": label}


def _validated(model: type[Body], body: bytes) -> Body:
    value = _json(body)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _fault(error) from None


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        # JSON can spell half a character, "\\ud800", which is no text and breaks what comes after.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        reason = f"{error.object[error.start]!a} is half a character"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = str(error)
    else:
        return value
    raise ApiError(400, f"the body is no JSON: {reason}", code="invalid_json")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _fault(error: ValidationError) -> ApiError:
    """The first fault as one line: which field, and what is wrong."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # Union members stand in the path by their type's name; they are no part of the field's.
    members = ("str", "constrained-str", "list[_Part]")
    path = [str(part) for part in fault["loc"] if str(part) not in members]
    field = ".".join(path) or "body"
    if fault["type"] == "extra_forbidden":
        return ApiError(400, f"`{field}` is not understood here; leave it out", param=field)
    return ApiError(422, f"`{field}`: {fault['msg'][:1].lower()}{fault['msg'][1:]}", param=field)
