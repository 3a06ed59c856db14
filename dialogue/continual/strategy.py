"""The one interface of all strategies: a round, and what may be done before, in and after it."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.config import Finetune
from dialogue.continual.memory import Memory
from dialogue.objective import Regularizer
from dialogue.shards import Shard, empty_shard


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One lesson: the new domain, what is remembered of the earlier ones, and who learns.

    `model` holds the parent's weights to begin with and is trained in place; `freeze` has marked
    what of it learns.
    """

    domain: str
    new: Shard
    memory: Memory
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    settings: Finetune

    @property
    def pad_id(self) -> int:
        """A token id for padding."""
        assert self.tokenizer.pad_token_id is not None
        return int(self.tokenizer.pad_token_id)


class Strategy:
    """A way of learning a new domain without losing the earlier ones.

    Made anew for every round; the methods are called in this order, and each may be left as it is.
    All of it must follow from the round alone, so that a killed run can be resumed bit by bit.
    """

    def __init__(self, lesson: Round) -> None:
        self.round = lesson

    def prepare(self) -> None:
        """Change the model before it is trained.

        Raises:
            ValueError: what the strategy would remember does not fit its bytes.
        """

    def rehearsed(self) -> Shard:
        """What is trained on besides the new domain."""
        return empty_shard()

    def regularizer(self, examples: Shard) -> Regularizer | None:  # noqa: ARG002
        """What is added to the loss; `examples` begin with the new domain's."""
        return None

    def merge(self) -> None:
        """Undo after training what `prepare` changed, but for what was learned."""

    def remember(self, memory: Memory) -> Memory:
        """The memory with this strategy's part of it brought up to date."""
        return memory
