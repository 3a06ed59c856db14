from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import yaml

from dialogue.config import Finetune
from dialogue.continual import STRATEGIES
from dialogue.encoding import Encoded
from dialogue.shards import Shard, concatenate, empty_shard, pack

REPLAY, NAIVE = STRATEGIES["replay"], STRATEGIES["naive"]


def shard(domain: str, number: int, tokens: int = 10) -> Shard:
    sequence = Encoded(np.arange(3, 3 + tokens), np.ones(tokens, dtype=np.bool_))
    return pack(((f"{domain}-{i}", domain, sequence) for i in range(number)), 300)


def settings(share: float = 0.25, max_bytes: int = 10_000) -> Finetune:
    section = yaml.safe_load(
        """
        strategy: replay
        freeze: {top_layers: 1, embeddings: true, norms: false}
        training: {epochs: 1.0, learning_rate: 0.1, warmup_share: 0.1, weight_decay: 0.0,
                   gradient_clip: 1.0, tokens_per_step: 64, tokens_per_batch: 64,
                   checkpoint_seconds: 60.0, precision: fp32, seed: 1}
        """
    )
    return Finetune.model_validate(section | {"replay": {"share": share, "max_bytes": max_bytes}})


def test_a_quarter_of_the_round_is_rehearsal_in_equal_parts() -> None:
    memory = concatenate([shard("chat", 50), shard("help", 50)])
    mixed = REPLAY.examples(shard("home", 30), memory, settings(share=0.25))
    assert Counter(mixed.domains) == {"home": 30, "chat": 5, "help": 5}


def test_the_first_round_has_nothing_to_rehearse() -> None:
    assert len(REPLAY.examples(shard("chat", 5), empty_shard(), settings())) == 5


def test_the_memory_keeps_to_its_bytes_and_is_shared_equally() -> None:
    # Ten tokens at two bytes and their mask: 30 bytes a dialogue, 300 bytes: 5 of each domain.
    memory = REPLAY.remember(shard("chat", 50), empty_shard(), settings(max_bytes=300))
    assert Counter(memory.domains) == {"chat": 10}
    memory = REPLAY.remember(shard("help", 50), memory, settings(max_bytes=300))
    assert Counter(memory.domains) == {"chat": 5, "help": 5}
    assert memory.num_bytes <= 300


def test_the_memory_does_not_depend_on_the_order_of_arrival() -> None:
    whole = shard("chat", 40)
    backwards = whole.select(list(range(39, -1, -1)))
    one = REPLAY.remember(whole, empty_shard(), settings(max_bytes=300))
    two = REPLAY.remember(backwards, empty_shard(), settings(max_bytes=300))
    assert one.ids == two.ids


def test_a_share_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="share is 1"):
        REPLAY.examples(shard("home", 3), shard("chat", 3), settings(share=1.0))


def test_naive_rehearses_nothing() -> None:
    memory = shard("chat", 5)
    assert NAIVE.examples(shard("home", 3), memory, settings()).domains == ("home",) * 3
    assert len(NAIVE.remember(shard("home", 3), empty_shard(), settings())) == 0
