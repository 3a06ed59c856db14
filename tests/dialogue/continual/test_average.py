from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from dialogue.config import Freeze
from dialogue.continual.average import Average
from dialogue.continual.memory import Memory
from dialogue.shards import empty_shard
from tests.dialogue.continual.conftest import MakeRound
from tests.dialogue.continual.rounds import settings

LEARNED = Memory(empty_shard(), learned=("chat",))


@pytest.mark.parametrize("memory", [Memory(empty_shard()), LEARNED], ids=["first", "later"])
def test_a_quarter_of_the_way_by_hand(lesson: MakeRound, memory: Memory) -> None:
    """From 1 to 5, a quarter of the way is 2; in the first lesson from the base."""
    made = lesson(memory=memory, finetune=settings("average", average={"weight": 0.25}))
    for weight, both in ((0.25, 2.0), (1.0, 5.0)):
        changed = lesson(memory=memory, finetune=settings("average", average={"weight": weight}))
        with torch.no_grad():
            for parameter in changed.model.parameters():
                parameter.fill_(1.0)
        strategy = Average(changed)
        with torch.no_grad():
            for parameter in changed.model.parameters():
                parameter.fill_(5.0)
        strategy.merge()
        for parameter in changed.model.parameters():
            assert torch.equal(parameter, torch.full_like(parameter, both))
    assert Average(made).regularizer(made.new) is None


def test_frozen_weights_stay_bit_equal(lesson: MakeRound) -> None:
    frozen = Freeze(top_layers=1, embeddings=True, norms=True)
    finetune = settings("average", average={"weight": 0.3})
    made = lesson(memory=LEARNED, finetune=finetune, frozen=frozen)
    strategy = Average(made)
    before = {name: p.detach().clone() for name, p in made.model.named_parameters()}
    learning = [n for n, p in made.model.named_parameters() if p.requires_grad]
    with torch.no_grad():
        for name in learning:
            made.model.get_parameter(name).add_(1.0)
    strategy.merge()
    for name, parameter in made.model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name not in learning)


@pytest.mark.parametrize("adapters", ["strategy", "freeze"])
def test_adapters_are_refused(adapters: str) -> None:
    names = ("average", "lora") if adapters == "strategy" else ("average",)
    with pytest.raises(ValidationError, match="`average` is of whole weights"):
        settings(names, freeze={"lora": {"rank": 2, "alpha": 4}} if len(names) == 1 else {})
