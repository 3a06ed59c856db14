"""Single dialogues as training reads them: tokens from the shard, origin from the records."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from transformers import PreTrainedTokenizerFast

from dialogue.encoding import Encoded, Encoder
from dialogue.model import load_tokenizer
from dialogue.records import (
    Dialogue,
    Reject,
    Split,
    dialogues_of,
    opened_records,
    read_group,
    read_rejects,
)
from dialogue.shards import Shard, open_shard

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

_RECORDS = "dialogues.parquet"
_REJECTS = "rejects.parquet"
_UNLIMITED = 1 << 40


@dataclass(frozen=True, slots=True)
class Places:
    """Where dvc.yaml puts a domain's dialogues, its shards and the tokenizer."""

    domain: str
    records: Path
    valid: Path
    encoded: Path
    tokenizer: Path


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a dialogue's text, and whether the loss is taken on it."""

    text: str
    learned: bool


@dataclass(frozen=True, slots=True)
class Example:
    """Dialogue `index` of a split's shard; `dialogue` is None where the records changed since."""

    index: int
    id: str
    split: Split
    dialogue: Dialogue | None
    parts: tuple[Part, ...]
    num_tokens: int
    num_learned: int
    num_cut: int
    """Tokens that were left out, for the whole was too long."""


def places_of(project: Path, domain: str) -> Places:
    """Look up a domain's folders in dvc.yaml."""
    stages = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

    def output(stage: str, pattern: str) -> Path:
        outs: list[Any] = stages[stage].get("do", stages[stage])["outs"]
        paths = [Path(out.replace("${key}", domain)) for out in outs if isinstance(out, str)]
        (path,) = (path for path in paths if path.match(pattern))
        return project / path

    return Places(
        domain=domain,
        records=output("ingest", "records/*"),
        valid=output("validate", "valid/*"),
        encoded=output("encode", "encoded/*"),
        tokenizer=output("pretrain", "models/tokenizer"),
    )


def read_examples(
    places: Places, wanted: Sequence[str], split: Split | None, limit: int
) -> tuple[list[Example], int]:
    """The dialogues that `wanted` names by index or beginning of an id, or the first ones.

    Args:
        places: the domain's folders.
        wanted: an index counts in `split`, or in train; an id is looked for in every split.
        split: only this split.
        limit: how many at most.

    Returns:
        The examples, and how many there would have been without the limit.

    Raises:
        ValueError: nothing is encoded yet, a shard is damaged, or there is no such dialogue.
    """
    shards = {name: _open(places, name) for name in SPLITS if split is None or split == name}
    found = list(dict.fromkeys(_find(places.domain, shards, wanted)))
    chosen = found[:limit]
    tokenizer = load_tokenizer(places.tokenizer)
    encoder = Encoder(tokenizer)
    named = _dialogues_named(places.valid / _RECORDS, {shards[s].ids[i] for s, i in chosen})
    examples = [
        _example(tokenizer, encoder, shards[name], name, index, named) for name, index in chosen
    ]
    return examples, len(found)


def read_set_aside(places: Places) -> Iterator[Reject]:
    """The rows that validation, or ingestion where that is how far it got, set aside.

    Raises:
        ValueError: neither has run yet, or the file is damaged.
    """
    for folder in (places.valid, places.records):
        if (folder / _REJECTS).is_file():
            yield from read_rejects(folder / _REJECTS)
            return
    raise ValueError(f"{places.domain}: nothing is ingested yet; {_mend(places, 'ingest')}")


def _open(places: Places, split: Split) -> Shard:
    if not places.encoded.is_dir():
        raise ValueError(f"{places.domain}: nothing is encoded yet; {_mend(places, 'encode')}")
    return open_shard(places.encoded / split)


def _mend(places: Places, stage: str) -> str:
    return f"run `dvc repro {stage}@{places.domain}`, or `perennial run` for everything"


def _find(
    domain: str, shards: dict[Split, Shard], wanted: Sequence[str]
) -> Iterator[tuple[Split, int]]:
    first, shard = next(iter(shards.items()))
    if not wanted:
        yield from ((first, index) for index in range(len(shard)))
    for word in wanted:
        if word.isdecimal() and int(word) < len(shard):
            yield first, int(word)
            continue
        matches = [
            (split, index)
            for split, each in shards.items()
            for index, name in enumerate(each.ids)
            if name.startswith(word)
        ]
        if not matches:
            raise ValueError(
                f"{domain}: no dialogue `{word}` in {', '.join(shards)}; give an index below "
                f"{len(shard)} ({first}), or the beginning of an id"
            )
        yield from matches


def _dialogues_named(path: Path, ids: Collection[str]) -> dict[str, Dialogue]:
    """The dialogues of these ids; only the row groups that hold one are read whole."""
    wanted = pa.array(sorted(ids), pa.string())
    found: dict[str, Dialogue] = {}
    with opened_records(path) as file:
        for group in range(file.num_row_groups):
            if len(found) == len(ids):
                break
            names = read_group(path, file, group, ["dialogue_id"]).column("dialogue_id")
            chosen = pc.is_in(names, wanted)
            if pc.any(chosen).as_py():
                table = read_group(path, file, group).filter(chosen)
                found |= {dialogue.id: dialogue for dialogue in dialogues_of(table)}
    return found


def _example(
    tokenizer: PreTrainedTokenizerFast,
    encoder: Encoder,
    shard: Shard,
    split: Split,
    index: int,
    named: dict[str, Dialogue],
) -> Example:
    encoded = shard[index]
    dialogue = named.get(shard.ids[index])
    whole = len(encoder.dialogue(dialogue.turns, _UNLIMITED).ids) if dialogue else None
    return Example(
        index=index,
        id=shard.ids[index],
        split=split,
        dialogue=dialogue,
        parts=tuple(_parts(tokenizer, encoded)),
        num_tokens=len(encoded.ids),
        num_learned=int(encoded.mask.sum()),
        num_cut=0 if whole is None else whole - len(encoded.ids),
    )


def _parts(tokenizer: PreTrainedTokenizerFast, encoded: Encoded) -> Iterator[Part]:
    """The text in stretches that are learned or not, decoded from the tokens themselves."""
    changes = np.flatnonzero(np.diff(encoded.mask.astype(np.int8))) + 1
    starts = [0, *changes.tolist()]
    for start, end in zip(starts, [*starts[1:], len(encoded.ids)], strict=True):
        text = tokenizer.decode(encoded.ids[start:end], clean_up_tokenization_spaces=False)
        yield Part(str(text), bool(encoded.mask[start]))
