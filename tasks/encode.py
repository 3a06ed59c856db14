"""Turn a domain's valid dialogues into token shards, one a split."""

from __future__ import annotations

from pathlib import Path

from dialogue.config import Params
from dialogue.log import Log
from dialogue.manifest import verify_manifest
from tasks._encoding import encode_groups, write_report
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
    """Tokenize the dialogues and mark the tokens that the loss is taken on.

    Several machines may share the work: see tasks/encode_range.py.

    Raises:
        ValueError: the dialogues or the tokenizer are missing or damaged.
    """
    for folder in (valid, tokenizer):
        verify_manifest(folder)
    writers = encode_groups(
        valid / "dialogues.parquet",
        tokenizer,
        encoded,
        domain=domain,
        max_tokens=params.encode.max_tokens,
    )
    for split, writer in writers.items():
        log.dataset(f"{domain}/{split}", writer.digest, encoded / split, split)
    log.metrics(write_report(report, writers))


if __name__ == "__main__":
    run(encode)
