"""The whole of params.yaml: its curriculum and its sections."""

from __future__ import annotations

from pydantic import Field, model_validator

from dialogue.config.data import Encode, Gather, Ingest, Validate
from dialogue.config.judging import Evaluate, Gate, Report
from dialogue.config.learning import Finetune, Pretrain
from dialogue.config.release import Feedback, Promote, Register, Serve
from dialogue.config.section import Section


class Lesson(Section):
    """One entry of the curriculum: the domain that is learned after another one."""

    after: str
    against: str | None = None
    """Digest of the champion this round must beat; written when a round begins."""


class Params(Section):
    """The whole of params.yaml."""

    profile: str
    curriculum: dict[str, Lesson] = Field(min_length=1)
    ingest: Ingest
    gather: Gather
    validate_: Validate = Field(alias="validate")
    encode: Encode
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    gate: Gate
    report: Report
    register_: Register = Field(alias="register")
    promote: Promote
    serve: Serve
    feedback: Feedback

    @model_validator(mode="after")
    def _curriculum_is_a_forest_from_base(self) -> Params:
        for domain in self.curriculum:
            _check_domain(self, domain)
        return self

    @property
    def candidate(self) -> str:
        """The domain learned last: the end of the curriculum is what the gates judge."""
        return next(reversed(self.curriculum))

    def lineage(self, domain: str) -> tuple[str, ...]:
        """The domains a model has learned, oldest first, `domain` last."""
        path: list[str] = []
        while domain != "base":
            path.append(domain)
            domain = self.curriculum[domain].after
        return tuple(reversed(path))


_TAKEN = {
    "base": "the pretrained model",
    "instructions": "an exam of every model",
    "text": "the fingerprints of pretraining's text",
    "tokenizer": "the tokenizer of every model",
}
"""What paths and scores that are called by domain hold beside the domains."""


def _check_domain(params: Params, domain: str) -> None:
    if domain in _TAKEN:
        raise ValueError(
            f"curriculum: `{domain}` names {_TAKEN[domain]}; call the domain otherwise"
        )
    if not domain.isidentifier():
        raise ValueError(
            f"curriculum: `{domain}` is no name; use letters, digits and underscores only"
        )
    if domain not in params.ingest.sources:
        raise ValueError(f"ingest.sources: no source for the domain `{domain}`; add one")
    seen = {domain}
    parent = params.curriculum[domain].after
    while parent != "base":
        if parent not in params.curriculum:
            raise ValueError(
                f"curriculum.{domain}: `after: {parent}` names no domain; use `base` or one of "
                f"{', '.join(params.curriculum)}"
            )
        if parent in seen:
            raise ValueError(
                f"curriculum.{domain}: `after` goes round in a circle at `{parent}`; "
                "let the first domain of it come after `base`"
            )
        seen.add(parent)
        parent = params.curriculum[parent].after
