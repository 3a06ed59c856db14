"""A round, small and real: a two-layer model of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dialogue.config import Finetune, Freeze
from dialogue.continual.memory import Memory
from dialogue.continual.strategy import Round
from dialogue.freezing import freeze
from dialogue.model import load_model
from dialogue.shards import Shard, empty_shard
from dialogue.tokenization import load_tokenizer
from tests.dialogue.continual.rounds import settings, shard

MakeRound = Callable[..., Round]


@pytest.fixture
def lesson(tiny_model: Path) -> MakeRound:
    """Makes rounds with a model of their own."""

    def make(
        domain: str = "home",
        new: Shard | None = None,
        memory: Memory | None = None,
        finetune: Finetune | None = None,
        frozen: Freeze | None = None,
    ) -> Round:
        finetune = settings() if finetune is None else finetune
        model = load_model(tiny_model)
        freeze(model, finetune.freeze if frozen is None else frozen)
        return Round(
            domain=domain,
            new=shard(domain, 12, seed=1) if new is None else new,
            memory=Memory(empty_shard()) if memory is None else memory,
            model=model,
            tokenizer=load_tokenizer(tiny_model),
            settings=finetune,
        )

    return make
