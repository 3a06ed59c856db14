"""Turn a domain's valid dialogues into token shards, one a split."""

from __future__ import annotations

import json
from pathlib import Path

from dialogue.config import Params
from dialogue.encoding import Encoder
from dialogue.log import Log
from dialogue.model import load_tokenizer
from dialogue.records import read_dialogues
from dialogue.shards import Shard, pack, write_shard
from tasks._step import run


def encode(
    params: Params,
    log: Log,
    *,
    domain: str,
    valid: Path,
    tokenizer: Path,
    encoded: Path,
    report: Path,
) -> None:
    """Tokenize the dialogues and mark the tokens that the loss is taken on."""
    settings = params.encode
    dialogues = list(read_dialogues(valid / "dialogues.parquet"))
    loaded = load_tokenizer(tokenizer)
    sequences = Encoder(loaded).dialogues(dialogues, settings.max_tokens)
    rows = [
        (dialogue.split, (dialogue.id, domain, sequence))
        for dialogue, sequence in zip(dialogues, sequences, strict=True)
    ]
    figures: dict[str, float] = {}
    for split in ("train", "validation", "test"):
        shard = pack((row for owner, row in rows if owner == split), len(loaded))
        digest = write_shard(encoded / split, shard)
        log.dataset(f"{domain}/{split}", digest, encoded / split, split)
        figures |= _figures(split, shard)
    log.metrics(figures)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures, indent=2) + "\n")


def _figures(split: str, shard: Shard) -> dict[str, float]:
    return {
        f"{split}_dialogues": len(shard),
        f"{split}_tokens": len(shard.tokens),
        f"{split}_supervised_tokens": int(shard.mask.sum()),
    }


if __name__ == "__main__":
    run(encode)
