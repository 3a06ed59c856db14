"""What comes after the verdict: registration, promotion, serving and feedback."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dialogue.config.section import Section


class Register(Section):
    """The name candidates are registered under."""

    model_name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")


class Promote(Section):
    """How a promotion proves itself before it counts."""

    approval: Literal["auto", "manual"]
    smoke_prompts: tuple[str, ...] = Field(min_length=1)
    smoke_repeats: int = Field(ge=1)
    """How often each is asked: that it is answered in time should not hang on one answer."""
    smoke_seconds: float = Field(gt=0)
    """For one answer; a longer one ends the test."""
    max_start_seconds: float = Field(gt=0)
    max_p95_seconds: float = Field(gt=0)
    """Of the answers, nineteen of twenty at least."""
    max_memory_mib: float = Field(gt=0)
    """Of resident memory, at its peak."""


class Serve(Section):
    """The server's address and its bounds."""

    host: str
    port: int = Field(ge=1, le=65535)
    max_body_bytes: int = Field(ge=1024)
    max_turns: int = Field(ge=1)
    max_characters: int = Field(ge=1)
    max_prompt_tokens: int = Field(ge=16)
    """What is read of a history; of a longer one the oldest turns go."""
    max_new_tokens: int = Field(ge=1)
    max_queue: int = Field(ge=1)
    max_batch: int = Field(ge=1)
    """How many replies are written side by side; the rest of the queue waits."""
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    repetition_penalty: float = Field(ge=1)


class Feedback(Section):
    """Where acknowledged ratings are kept, and when they are worth a round."""

    min_dialogues: int = Field(ge=1)
    max_per_user: int = Field(ge=1)
