"""The steps before training: ingest, gather, validate and encode."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal, get_args

from pydantic import Field, model_validator

from dialogue.config.section import Section, Share
from dialogue.config.sources import Source, WheelModel

PersonalKind = Literal["email", "phone", "card", "iban", "ip", "key", "name"]


class Ingest(Section):
    """Sources by domain, what is taken out of them, and how dialogues are split."""

    test_share: Share
    validation_share: Share
    scrub: tuple[PersonalKind, ...]
    """Personal data that is replaced by placeholders."""
    max_row_bytes: int = Field(ge=1_000)
    """Rows of a source that are larger are set aside unread."""
    sources: dict[str, Source]


class Gather(Section):
    """Where the unlabelled text of pretraining comes from."""

    scrub: tuple[PersonalKind, ...]
    max_row_bytes: int = Field(ge=1_000)
    sources: tuple[Source, ...] = Field(min_length=1)


RuleName = Literal[
    "num_dialogues",
    "num_test_dialogues",
    "rejected_share",
    "duplicate_share",
    "near_duplicate_share",
    "straddling_dialogues",
    "leaked_dialogues",
    "language_share",
    "abusive_share",
    "personal_share",
    "label_share",
    "length_drift",
    "vocabulary_drift",
    "embedding_drift",
]


class DataRule(Section):
    """One rule of validation: a bound for one figure of the domain, and what follows beyond it."""

    min: float | None = None
    max: float | None = None
    action: Literal["stop", "warn"]
    reason: str | None = None
    """Why this domain departs from the default."""

    @model_validator(mode="after")
    def _one_bound(self) -> DataRule:
        if (self.min is None) == (self.max is None):
            raise ValueError("a rule needs either `min` or `max`")
        return self


class Validate(Section):
    """What a dialogue must be like, and the rules that the domain as a whole is held to.

    `domains` and `languages` hold what departs from `rules` and `language`; their keys are
    domains, or patterns such as `feedback_*`, of which the first that fits counts.
    """

    max_turn_characters: int = Field(ge=1)
    max_turns: int = Field(ge=2)
    similarity: float = Field(gt=0, le=1)
    """From which Jaccard similarity on two dialogues are near-duplicates."""
    sample: int = Field(ge=1)
    """About how many dialogues are read for language, abuse and personal data."""
    language: str
    embedder: WheelModel | None
    embedder_sample: int = Field(ge=1)
    rules: dict[RuleName, DataRule]
    languages: dict[str, str]
    domains: dict[str, dict[RuleName, DataRule]]

    @model_validator(mode="after")
    def _every_rule_is_there(self) -> Validate:
        if missing := [name for name in get_args(RuleName) if name not in self.rules]:
            raise ValueError(f"rules lacks {', '.join(missing)}; every rule has a default")
        return self

    def rules_for(self, domain: str) -> dict[RuleName, DataRule]:
        """Every rule as it holds for this domain."""
        own = [rules for key, rules in self.domains.items() if fnmatchcase(domain, key)]
        return self.rules | (own[0] if own else {})

    def path_of(self, domain: str, rule: RuleName) -> str:
        """Where in params.yaml the rule that holds for this domain stands."""
        for key, rules in self.domains.items():
            if fnmatchcase(domain, key):
                return f"validate.{f'domains.{key}' if rule in rules else 'rules'}.{rule}"
        return f"validate.rules.{rule}"

    def language_of(self, domain: str) -> str:
        """The language that the domain's dialogues are in, as ISO 639-1."""
        own = [name for key, name in self.languages.items() if fnmatchcase(domain, key)]
        return own[0] if own else self.language


class Encode(Section):
    """How dialogues become tokens."""

    max_tokens: int = Field(ge=16)
