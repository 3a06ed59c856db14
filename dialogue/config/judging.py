"""Evaluation, the gates and the report card."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dialogue.config.section import Section
from dialogue.config.sources import WheelModel


class Evaluate(Section):
    """How much is measured, and with what."""

    max_dialogues: int = Field(ge=1)
    instructions: bool
    """Whether the plain instructions, which are English, are one more domain of every exam."""
    max_tokens: int = Field(ge=16)
    num_distractors: int = Field(ge=1)
    """Other responses that the true one is ranked among."""
    num_hard_distractors: int = Field(ge=0)
    """Of these, how many are chosen because they are likely to be taken for it."""
    max_labels: int = Field(ge=1)
    """Domains with more labels than this have no accuracy: their answers are no closed set."""
    num_generations: int = Field(ge=0)
    num_conversations: int = Field(ge=0)
    conversation_turns: int = Field(ge=2)
    """How many of its turns a model says itself in each."""
    max_new_tokens: int = Field(ge=1)
    embedder: WheelModel | None
    seed: int

    @model_validator(mode="after")
    def _some_are_random(self) -> Evaluate:
        if self.num_hard_distractors >= self.num_distractors:
            raise ValueError("`num_hard_distractors` must be less than `num_distractors`")
        return self


class Rule(Section):
    """One gate rule; see docs/gates.md for the grammar."""

    name: str
    metric: str
    slice: str
    """`each` domain of the exam, `target` (the newest), `earlier` (all before it), or a domain."""
    kind: Literal["bound", "superiority", "non_inferiority", "suspicion"]
    min: float | None = None
    max: float | None = None
    margin: float | None = Field(default=None, ge=0)
    """Relative to the champion's value: 0.02 is two per cent."""

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> Rule:
        bounded = self.min is not None or self.max is not None
        if self.kind == "bound" and not bounded:
            raise ValueError("a rule of kind `bound` needs `min` or `max`")
        if self.kind != "bound" and bounded:
            raise ValueError(f"`min` and `max` belong to kind `bound`, not `{self.kind}`")
        if self.kind in ("non_inferiority", "suspicion") and self.margin is None:
            raise ValueError(f"a rule of kind `{self.kind}` needs `margin`")
        if self.kind in ("bound", "superiority") and self.margin is not None:
            raise ValueError(f"`margin` does not belong to kind `{self.kind}`")
        return self


class Gate(Section):
    """The rules a candidate must pass, and how sure the verdict must be."""

    alpha: float = Field(gt=0, lt=1)
    resamples: int = Field(ge=100)
    min_dialogues: int = Field(ge=2)
    second_look: int = Field(default=0, ge=0)
    """Dialogues of a domain, at most, where the first look decides nothing; 0: none is taken."""
    seed: int
    rules: tuple[Rule, ...] = Field(min_length=1)


class Report(Section):
    """How many replies the report card shows of each domain: so many best, worst and random."""

    num_samples: int = Field(ge=0)
    history_turns: int = Field(ge=1)
    """What is shown of a history; of a longer one the oldest turns go."""
    seed: int
