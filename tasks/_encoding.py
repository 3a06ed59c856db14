"""Records into shards: a whole file, or some of its row groups on one machine of several."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq

from dialogue.bulk_encoding import COLUMNS, BulkEncoder
from dialogue.digests import file_digest
from dialogue.progress import Progress
from dialogue.records import Split, opened_records, read_group
from dialogue.shards import Part, ShardWriter, join_shards
from dialogue.tokenization import load_tokenizer

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

Writers = dict[Split, ShardWriter]


def encode_groups(
    records: Path,
    tokenizer: Path,
    encoded: Path,
    *,
    domain: str,
    max_tokens: int,
    groups: range | None = None,
) -> Writers:
    """Encode row groups of a records file into one shard a split; memory holds one of them.

    Args:
        records: a records file.
        tokenizer: the folder of the model's tokenizer.
        encoded: the folder that the shards are written under.
        domain: whose dialogues they are.
        max_tokens: longer dialogues lose their oldest turns.
        groups: which row groups, for a part that is to be joined; None for all.

    Returns:
        The closed writers by split, which know digests and counts.

    Raises:
        ValueError: the records are missing or damaged, have no such groups, or hold a dialogue
            that teaches nothing.
    """
    encoder = BulkEncoder(load_tokenizer(tokenizer), max_tokens)
    with ExitStack() as stack:
        file = stack.enter_context(opened_records(records))
        chosen = range(file.num_row_groups) if groups is None else groups
        if chosen.stop > file.num_row_groups:
            raise ValueError(
                f"{records}: no row groups {chosen.start}:{chosen.stop}; "
                f"there are {file.num_row_groups}"
            )
        made_from: dict[str, str | int] = {
            "records": file_digest(records),
            "tokenizer": file_digest(tokenizer / "tokenizer.json"),
            "max_tokens": max_tokens,
        }
        part = None if groups is None else Part(groups.start, groups.stop, file.num_row_groups)
        writers: Writers = {
            split: stack.enter_context(ShardWriter(encoded / split, encoder.dtype, made_from, part))
            for split in SPLITS
        }
        progress = Progress(f"encode {domain}", _num_rows(file, chosen), "turns")
        for group in chosen:
            table = read_group(records, file, group, COLUMNS)
            sequences = encoder.encode(table)
            for split, writer in writers.items():
                own = sequences.of_split(split)
                writer.append(own.ids, domain, own.tokens, own.mask, own.lengths)
            progress.advance(table.num_rows)
        progress.finish()
    return writers


def join_parts(encoded: Path, parts: list[Path]) -> Writers:
    """Join the folders that `encode_groups` wrote for all row groups of a records file.

    Raises:
        ValueError: a part is missing, doubled or damaged, or they were not made from the same.
    """
    return {
        split: join_shards(encoded / split, [part / split for part in parts]) for split in SPLITS
    }


def write_report(report: Path, writers: Writers) -> dict[str, float]:
    """Write what was written, by split; returns it."""
    figures = _figures(writers)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _figures(writers: Writers) -> dict[str, float]:
    """What was written, by split."""
    figures: dict[str, float] = {}
    for split, writer in writers.items():
        figures |= {
            f"{split}_dialogues": writer.num_sequences,
            f"{split}_tokens": writer.num_tokens,
            f"{split}_supervised_tokens": writer.num_supervised,
        }
    return figures


def _num_rows(file: pq.ParquetFile, groups: range) -> int:
    return sum(file.metadata.row_group(group).num_rows for group in groups)
