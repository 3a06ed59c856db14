"""Dialogues of a few tokens and settings to match, for the tests of every strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dialogue.config import Finetune
from dialogue.encoding import Encoded
from dialogue.shards import Shard, pack

ROOT = Path(__file__).parents[3]


def shard(
    domain: str,
    number: int,
    tokens: int = 10,
    seed: int | None = None,
    supervised: int | None = None,
) -> Shard:
    """Equal dialogues, or random ones where a seed is given; all or the last are supervised."""
    generator = np.random.default_rng(seed)
    rows = []
    for index in range(number):
        ids = np.arange(3, 3 + tokens) if seed is None else generator.integers(3, 290, tokens)
        mask = np.arange(tokens) >= tokens - (tokens if supervised is None else supervised)
        rows.append((f"{domain}-{index}", domain, Encoded(ids, mask)))
    return pack(rows, 300)


def settings(strategy: str | tuple[str, ...] = "replay", **changes: dict[str, Any]) -> Finetune:
    """The section as params.yaml has it, made small; `changes` are merged into its parts."""
    section = yaml.safe_load((ROOT / "params.yaml").read_text())["finetune"]
    section["strategy"] = strategy
    section["freeze"] |= {"top_layers": None, "embeddings": False, "names": ()}
    section["training"] |= {
        "epochs": 2.0,
        "learning_rate": 0.01,
        "tokens_per_step": 64,
        "tokens_per_batch": 64,
        "min_steps": 1,
        "precision": "fp32",
    }
    for part, values in changes.items():
        section[part] |= values
    return Finetune.model_validate(section)
