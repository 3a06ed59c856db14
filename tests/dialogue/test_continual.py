"""Strategies together, in whole rounds; what each does by itself is tested in `continual/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest
import torch

from dialogue.config import Finetune, StrategyName
from dialogue.continual import STRATEGIES, Combination
from dialogue.continual.memory import Memory
from dialogue.continual.strategy import Round
from dialogue.freezing import freeze
from dialogue.log import SilentLog
from dialogue.model import load_model
from dialogue.shards import concatenate, empty_shard
from dialogue.tokenization import load_tokenizer
from dialogue.training import train
from tests.dialogue.continual.rounds import settings, shard

COMBINATIONS = [
    ("replay", "distill", "ewc"),
    ("pseudo", "distill"),
    ("replay", "lora", "distill"),
]


class Killed(Exception):  # noqa: N818
    """What a run ends by that is killed."""


class Killer(SilentLog):
    """Ends a run after so many steps, once its checkpoint is on the disk."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        if step is not None and step > self.steps:
            raise Killed


def play(
    tiny_model: Path,
    checkpoints: Path,
    finetune: Finetune,
    memory: Memory,
    log: SilentLog,
    domain: str = "home",
) -> tuple[dict[str, torch.Tensor], Memory]:
    """One round, from the parent's files to the weights and memory it leaves."""
    model = load_model(tiny_model)
    freeze(model, finetune.freeze)
    new = shard(domain, 12, tokens=12, seed=5, supervised=5)
    lesson = Round(domain, new, memory, model, load_tokenizer(tiny_model), finetune)
    strategy = Combination(lesson)
    examples = strategy.prepare()
    train(
        model,
        examples,
        finetune.training,
        log,
        pad_id=lesson.pad_id,
        checkpoints=checkpoints,
        label="test",
        rehearsed=len(examples) - len(new),
        regularizer=strategy.regularizer(examples),
    )
    strategy.merge()
    return model.state_dict(), strategy.remember()


@pytest.mark.parametrize("strategy", COMBINATIONS, ids="+".join)
def test_a_killed_round_ends_as_if_it_had_not_been(
    tiny_model: Path, tmp_path: Path, strategy: tuple[str, ...]
) -> None:
    changes = {"share": 0.3, "max_new_tokens": 24}
    parts = {"replay": {"share": 0.3}, "pseudo": changes, "lora": {"rank": 2}}
    parts |= {"distill": {"whole": True}, "training": {"checkpoint_seconds": 1e-6}}
    finetune = settings(strategy, **parts)
    _, memory = play(
        tiny_model, tmp_path / "first", finetune, Memory(empty_shard()), SilentLog(), "chat"
    )
    whole, left = play(tiny_model, tmp_path / "whole", finetune, memory, SilentLog())
    with pytest.raises(Killed):
        play(tiny_model, tmp_path / "killed", finetune, memory, Killer(2))
    assert list((tmp_path / "killed").glob("step-*"))
    resumed, again = play(tiny_model, tmp_path / "killed", finetune, memory, SilentLog())
    assert all(torch.equal(whole[name], value) for name, value in resumed.items())
    assert (left.learned, left.dialogues.ids) == (again.learned, again.dialogues.ids)
    assert left.tensors.keys() == again.tensors.keys()
    assert all(torch.equal(value, again.tensors[name]) for name, value in left.tensors.items())
    assert left.learned == ("chat", "home")


@pytest.mark.parametrize("strategy", [("replay",), ("distill",), ("ewc",)], ids="+".join)
def test_it_forgets_less_than_naive(
    tiny_model: Path, tmp_path: Path, strategy: tuple[str, ...]
) -> None:
    """How far the round moves the model's answers on an earlier domain."""
    changes = {"ewc": {"strength": 1e4}, "distill": {"new": 3.0}, "replay": {"share": 0.5}}
    old = shard("chat", 8, tokens=12, seed=9)
    memory = Memory(old, learned=("chat",))
    if strategy == ("ewc",):
        lesson = Round(
            "chat",
            old,
            Memory(empty_shard()),
            load_model(tiny_model),
            load_tokenizer(tiny_model),
            settings("ewc"),
        )
        memory = Combination(lesson).remember()
    moved = {}
    for names in (("naive",), strategy):
        finetune = settings(names, **changes)
        weights, _ = play(tiny_model, tmp_path / names[0], finetune, memory, SilentLog())
        moved[names] = nats(tiny_model, weights, old)
    assert moved[strategy] < moved["naive",]


def nats(tiny_model: Path, weights: dict[str, torch.Tensor], dialogues: object) -> float:
    """Of old dialogues, under new weights."""
    model = load_model(tiny_model)
    model.load_state_dict(weights)
    total = 0.0
    with torch.no_grad():
        for index in range(len(dialogues)):  # type: ignore[arg-type]
            ids = torch.from_numpy(dialogues[index].ids)[None]  # type: ignore[index]
            total += float(model(ids, labels=ids).loss)
    return total


def test_naive_rehearses_nothing_and_remembers_what_came(tiny_model: Path) -> None:
    model = load_model(tiny_model)
    memory = Memory(shard("chat", 5), {"ewc/w": torch.ones(2)}, ("chat",))
    lesson = Round(
        "home", shard("home", 3), memory, model, load_tokenizer(tiny_model), settings("naive")
    )
    strategy = Combination(lesson)
    examples = strategy.prepare()
    assert examples.domains == ("home",) * 3
    assert strategy.regularizer(examples) is None
    left = strategy.remember()
    assert (left.dialogues.ids, set(left.tensors)) == (memory.dialogues.ids, {"ewc/w"})
    assert left.learned == ("chat", "home")


def test_the_new_domain_comes_first(tiny_model: Path) -> None:
    model = load_model(tiny_model)
    memory = Memory(concatenate([shard("chat", 9), shard("help", 9)]), learned=("chat", "help"))
    finetune = settings(("replay", "distill"), replay={"share": 0.5})
    lesson = Round("home", shard("home", 4), memory, model, load_tokenizer(tiny_model), finetune)
    assert Combination(lesson).prepare().domains == ("home",) * 4 + ("chat",) * 2 + ("help",) * 2


def test_every_strategy_of_the_settings_is_there() -> None:
    assert set(STRATEGIES) == set(get_args(StrategyName))


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("reply", "no strategy is called 'reply'; use one or more of naive, replay, ewc"),
        (("replay", "replay"), "name each once"),
        (("naive", "replay"), "`naive` alone"),
        ((), "at least 1"),
        (("ewc", "lora"), "choose one"),
    ],
)
def test_a_strategy_that_cannot_be_is_named(strategy: str | tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings(strategy)


def test_one_name_may_stand_alone() -> None:
    assert settings("ewc").strategy == ("ewc",)
