"""Pretraining and fine-tuning, and the strategies against forgetting."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from dialogue.config.section import Section, Share
from dialogue.config.sources import ModelSource


class Training(Section):
    """What pretraining and fine-tuning share."""

    epochs: float = Field(gt=0, allow_inf_nan=False)
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
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
    seed: int = Field(ge=0, lt=2**32)


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
        rehearsed = {"replay": self.replay.share, "pseudo": self.pseudo.share}
        taught = any(rehearsed.get(name) for name in self.strategy) and self.distill.replayed
        if "distill" in self.strategy and not (self.distill.new or taught):
            raise ValueError(
                "strategy: `distill` would teach nothing: add `replay` or `pseudo` for "
                "`distill.replayed` to count on, or raise `distill.new`"
            )
        if "lora" in self.strategy and self.freeze.lora is not None:
            raise ValueError("freeze.lora: the strategy `lora` brings adapters; set it to null")
        return self
