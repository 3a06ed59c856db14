from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from dialogue.config import Freeze
from dialogue.continual.lora import Lora, Overlap
from dialogue.continual.memory import Memory
from dialogue.continual.strategy import Round
from dialogue.freezing import adapter_inputs
from dialogue.shards import empty_shard
from tests.dialogue.continual.conftest import MakeRound
from tests.dialogue.continual.rounds import settings

SMALL = {"rank": 2, "alpha": 4}


def test_the_overlap_by_hand() -> None:
    """(1, 0) against (3, 4): 3² = 9, and nothing against (0, 5), which is at right angles."""
    earlier = {"a": torch.tensor([[1.0, 0.0]])}
    rows = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 5.0]]))
    overlap = Overlap(earlier, weight=2.0).on_step({"a": rows, "b": nn.Parameter(torch.ones(1))})
    assert overlap is not None
    assert float(overlap.detach()) == pytest.approx(18.0)


def overlaps(made: Round, strategy: Lora) -> list[float]:
    """The overlap at each of a few steps that do nothing but lower it."""
    regularizer = strategy.regularizer(made.new)
    learning = {n: p for n, p in made.model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(learning.values(), lr=0.3)
    seen = []
    while regularizer is not None and len(seen) < 30:
        optimizer.zero_grad()
        overlap = regularizer.on_step(learning)
        assert overlap is not None
        overlap.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seen.append(float(overlap.detach()))
    return seen


def test_each_domain_turns_away_from_those_before(lesson: MakeRound) -> None:
    memory = Memory(empty_shard())
    # At one seed the second adapters begin where the first did: the overlap is as large as can be.
    for number, domain in enumerate(("chat", "help"), start=1):
        made = lesson(domain, memory=memory, finetune=settings("lora", lora=SMALL))
        strategy = Lora(made)
        strategy.prepare()
        seen = overlaps(made, strategy)
        assert not seen or seen[-1] < 0.1 * seen[0]
        assert (len(seen) > 0) == (number > 1)
        strategy.merge()
        memory = strategy.remember(memory)
        rows = memory.of("lora")
        assert {len(value) for value in rows.values()} == {2 * number}
        assert len(rows) == 14  # seven linear layers twice


def test_merged_it_says_the_same(lesson: MakeRound) -> None:
    made = lesson(finetune=settings("lora", lora=SMALL))
    ids = torch.from_numpy(made.new[0].ids)[None]
    names = set(made.model.state_dict())
    with torch.no_grad():
        plain = made.model(ids).logits
        strategy = Lora(made)
        strategy.prepare()
        assert torch.equal(made.model(ids).logits, plain), "B begins at 0"
        for name, parameter in made.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(3))
        adapted = made.model(ids).logits
        strategy.merge()
        merged = made.model(ids).logits
    assert not torch.allclose(adapted, plain, atol=1e-2)
    torch.testing.assert_close(merged, adapted, rtol=1e-4, atol=1e-4)
    assert set(made.model.state_dict()) == names
    assert not adapter_inputs(made.model)


def test_adapters_that_do_not_fit_are_refused_before_training(lesson: MakeRound) -> None:
    made = lesson(finetune=settings("lora", lora={"max_bytes": 10}))
    with pytest.raises(ValueError, match=r"finetune.lora.max_bytes is 10, but .* need"):
        Lora(made).prepare()


@pytest.mark.parametrize("left", [0, -1])
def test_earlier_adapters_count_as_large_as_they_are(lesson: MakeRound, left: int) -> None:
    """Four rows of an earlier domain beside two new ones: not twice two."""
    first = lesson("chat", finetune=settings("lora", lora={"rank": 4, "alpha": 4}))
    earlier = Lora(first)
    earlier.prepare()
    earlier.merge()
    memory = replace(earlier.remember(first.memory), learned=("talk", "chat"))
    needed = memory.num_bytes * 6 // 4
    made = lesson("help", memory=memory, finetune=settings("lora", lora=SMALL))
    limit = {"lora": made.settings.lora.model_copy(update={"max_bytes": needed + left})}
    strategy = Lora(replace(made, settings=made.settings.model_copy(update=limit)))
    if left < 0:
        with pytest.raises(ValueError, match=rf"need {needed}:"):
            strategy.prepare()
        return
    strategy.prepare()
    strategy.merge()
    assert strategy.remember(memory).num_bytes == needed


def test_what_is_frozen_for_a_round_keeps_its_rows(lesson: MakeRound) -> None:
    memory = Memory(empty_shard())
    for layers, numbers in ((2, [2] * 14), (1, [2] * 7 + [4] * 7)):
        frozen = Freeze(top_layers=layers, embeddings=True, norms=False)
        made = lesson("chat", memory=memory, finetune=settings("lora", lora=SMALL), frozen=frozen)
        strategy = Lora(made)
        strategy.prepare()
        strategy.merge()
        memory = strategy.remember(memory)
        assert sorted(len(rows) for rows in memory.of("lora").values()) == numbers
