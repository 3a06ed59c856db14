"""Lifelong learning: what a round rehearses, what is added to its loss, what it remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dialogue.config import StrategyName
from dialogue.continual.average import Average
from dialogue.continual.distill import Distill
from dialogue.continual.ewc import Ewc
from dialogue.continual.lora import Lora
from dialogue.continual.memory import Memory
from dialogue.continual.naive import Naive
from dialogue.continual.pseudo import Pseudo
from dialogue.continual.replay import Replay
from dialogue.continual.strategy import Round, Strategy
from dialogue.head import Teacher
from dialogue.objective import Border, Regularizer
from dialogue.shards import Shard, concatenate

_Found = TypeVar("_Found")

STRATEGIES: dict[StrategyName, type[Strategy]] = {
    "naive": Naive,
    "replay": Replay,
    "ewc": Ewc,
    "distill": Distill,
    "average": Average,
    "pseudo": Pseudo,
    "lora": Lora,
}


class Combination:
    """The strategies of `finetune.strategy` as one: what each does, one after the other."""

    def __init__(self, lesson: Round) -> None:
        self._round = lesson
        self._parts = [STRATEGIES[name](lesson) for name in lesson.settings.strategy]

    def prepare(self) -> Shard:
        """Ready the model; returns what the round trains on, the new domain first.

        Raises:
            ValueError: what a strategy would remember does not fit its bytes.
        """
        # What the parent writes of its own, it writes before it is changed.
        rehearsed = [part.rehearsed() for part in self._parts]
        for part in self._parts:
            part.prepare()
        return concatenate([self._round.new, *rehearsed])

    def regularizer(self, examples: Shard) -> Regularizer | None:
        """What is added to the loss; None where nothing is."""
        parts = [part.regularizer(examples) for part in self._parts]
        added = [part for part in parts if part is not None]
        return Sum(added) if added else None

    def merge(self) -> None:
        """Leave a model of the parent's shape."""
        for part in self._parts:
            part.merge()

    def remember(self) -> Memory:
        """The memory that leaves with the model; what no strategy tends stays as it came."""
        memory = self._round.memory
        for part in self._parts:
            memory = part.remember(memory)
        learned = [name for name in memory.learned if name != self._round.domain]
        return replace(memory, learned=(*learned, self._round.domain))


class Sum(Regularizer):
    """Several regularizers, added up."""

    def __init__(self, parts: Sequence[Regularizer]) -> None:
        self._parts = parts
        # As the part says that has a teacher.
        self.labelled = _only([part.labelled for part in parts])
        self.num_read = sum(part.num_read for part in parts)

    def begin(self, border: Border | None) -> None:
        """All parts begin."""
        for part in self._parts:
            part.begin(border)

    def reads(self, indices: tuple[int, ...]) -> Sequence[NDArray[np.bool_]] | None:
        """The tokens of the only part that has a teacher."""
        return _only([part.reads(indices) for part in self._parts])

    def teacher(self, indices: tuple[int, ...]) -> Teacher | None:
        """That part's."""
        return _only([part.teacher(indices) for part in self._parts])

    def on_step(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """The scalars of all parts."""
        terms = [part.on_step(parameters) for part in self._parts]
        given = [term for term in terms if term is not None]
        return torch.stack(given).sum() if given else None


def _only(found: Sequence[_Found | None]) -> _Found | None:
    given = [each for each in found if each is not None]
    assert len(given) <= 1, "two teachers would need each its own states"
    return given[0] if given else None
