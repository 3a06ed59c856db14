from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from dialogue.config import Freeze
from dialogue.continual import ewc
from dialogue.continual.ewc import Ewc, Penalty, fisher_diagonal
from dialogue.encoding import Encoded
from dialogue.shards import Shard, pack
from tests.dialogue.continual.conftest import MakeRound
from tests.dialogue.continual.rounds import settings, shard


def test_the_penalty_by_hand() -> None:
    """4/2 · (2 · (2 − 1)² + 0.5 · (3 − 1)²) = 8; a weight without importance is free."""
    weight = nn.Parameter(torch.tensor([2.0, 3.0]))
    fisher = {"w": torch.tensor([2.0, 0.5])}
    penalty = Penalty(fisher, {"w": torch.ones(2), "v": torch.ones(1)}, strength=4.0)
    total = penalty.on_step({"w": weight, "v": nn.Parameter(torch.zeros(1))})
    assert total is not None
    assert float(total.detach()) == pytest.approx(8.0)
    total.backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [8.0, 4.0]  # λ F (θ − θ*)


def undecided() -> LlamaForCausalLM:
    """Four words; layers add nothing, the head is 0: each word is as likely as any other."""
    sizes = {"vocab_size": 4, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1, "tie_word_embeddings": False}
    model = LlamaForCausalLM(LlamaConfig(**sizes, **heads, rms_norm_eps=0.0))
    model.requires_grad_(False)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(4))
    model.lm_head.requires_grad_(True)
    return model


def one_reply(name: str, asked: int, *reply: int) -> Shard:
    ids = np.array([asked, *reply])
    return pack([(name, "chat", Encoded(ids, np.arange(len(ids)) > 0))], 4)


def test_the_fisher_by_hand() -> None:
    """The state after word 1 is (0, 2, 0, 0), the norm's doing; a word's probability is 1/4.

    The gradient of −log P(2 | 1) to the head's column of word 1 is 2 · (1/4, 1/4, −3/4, 1/4).
    """
    found = fisher_diagonal(undecided(), one_reply("a", 1, 2), 0, "fp32")["lm_head.weight"]
    wanted = torch.zeros(4, 4)
    wanted[:, 1] = torch.tensor([0.25, 0.25, 2.25, 0.25])
    torch.testing.assert_close(found, wanted)


def test_a_dialogue_is_squared_as_a_whole_and_counted_by_its_tokens() -> None:
    """After word 1 comes 2, after that 1, then 2 again: twice the gradient, four times its square.

    With 4 · 0.25 at the right place and 3 tokens.
    """
    found = fisher_diagonal(undecided(), one_reply("a", 1, 2, 1, 2), 0, "fp32")["lm_head.weight"]
    assert found[:, 1].tolist() == pytest.approx(
        [4 * each / 3 for each in (0.25, 0.25, 2.25, 0.25)]
    )


def test_importances_fade_and_add_up(lesson: MakeRound) -> None:
    changes = {"decay": 0.5, "max_dialogues": 4}
    first = lesson("chat", finetune=settings("ewc", ewc=changes))
    memory = Ewc(first).remember(first.memory)
    second = lesson("home", first.new, memory, finetune=settings("ewc", ewc=changes))
    both = Ewc(second).remember(memory).of("ewc")
    # The same model and the same dialogues twice: F, then F/2 + F.
    for name, value in memory.of("ewc").items():
        torch.testing.assert_close(
            both[name], (1.5 * value.float()).bfloat16(), rtol=0.01, atol=1e-9
        )
    assert memory.num_bytes == 2 * sum(p.numel() for p in first.model.parameters())


def test_the_first_round_is_held_by_nothing(lesson: MakeRound) -> None:
    made = lesson(finetune=settings("ewc"))
    assert Ewc(made).regularizer(made.new) is None


def test_importances_that_do_not_fit_are_refused_before_training(lesson: MakeRound) -> None:
    made = lesson(finetune=settings("ewc", ewc={"max_bytes": 1000}))
    with pytest.raises(
        ValueError, match=r"finetune.ewc.max_bytes is 1000, but what learns, or has"
    ):
        Ewc(made).prepare()


def test_the_parent_pulls_nothing_where_it_stands(lesson: MakeRound) -> None:
    made = lesson(finetune=settings("ewc"))
    again = lesson(memory=Ewc(made).remember(made.memory), finetune=settings("ewc"))
    regularizer = Ewc(again).regularizer(shard("home", 3))
    assert regularizer is not None
    penalty = regularizer.on_step(dict(again.model.named_parameters()))
    assert penalty is not None
    assert float(penalty.detach()) == 0.0


def test_what_is_held_stands_where_training_runs(
    lesson: MakeRound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's `meta` device for a GPU: tensors of two devices do not mix."""
    made = lesson(finetune=settings("ewc"))
    memory = Ewc(made).remember(made.memory)
    monkeypatch.setattr(ewc, "choose_device", lambda: torch.device("meta"))
    regularizer = Ewc(lesson(memory=memory, finetune=settings("ewc"))).regularizer(made.new)
    assert isinstance(regularizer, Penalty)
    penalty = regularizer.on_step({n: p.to("meta") for n, p in made.model.named_parameters()})
    assert penalty is not None
    assert penalty.device.type == "meta"


def test_what_is_frozen_for_a_round_is_held_after_it(lesson: MakeRound) -> None:
    first = lesson("chat", finetune=settings("ewc"))
    memory = Ewc(first).remember(first.memory)
    top = Freeze(top_layers=1, embeddings=True, norms=False)
    second = lesson("home", memory=memory, finetune=settings("ewc"), frozen=top)
    after = Ewc(second).remember(memory).of("ewc")
    assert after.keys() == memory.of("ewc").keys()
    for name, parameter in second.model.named_parameters():
        assert torch.equal(after[name], memory.of("ewc")[name]) != parameter.requires_grad, name
    allowed = {"max_bytes": memory.num_bytes - 1}
    third = lesson("help", memory=memory, finetune=settings("ewc", ewc=allowed), frozen=top)
    with pytest.raises(ValueError, match=rf"needs {memory.num_bytes}: raise it"):
        Ewc(third).prepare()
