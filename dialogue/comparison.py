"""Two versions of a domain's records compared: which dialogues came, went, changed or moved.

Legend: N dialogues of one version, M pairs; a row is a dialogue's place in its file, from 0.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dialogue.records import SCHEMA, Split, Turn, read_group

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

_COLUMNS = ("dialogue_id", "role", "text", "split", "origin", "persona", "label")

Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Inventory:
    """A version in numbers, about 40 bytes a dialogue; every array is [N], in the file's order."""

    ids: Hashes
    origins: Hashes
    contents: Hashes
    """Of all that is learned, letter by letter: roles, texts, persona and label."""
    splits: npt.NDArray[np.int8]
    """Index into `SPLITS`."""
    num_turns: npt.NDArray[np.int32]
    num_characters: npt.NDArray[np.int64]
    """Of all turns together."""

    def __len__(self) -> int:
        return len(self.ids)

    def by_split(self, rows: Rows | None = None) -> dict[Split, int]:
        """How many of these rows, or of all, are in each split."""
        splits = self.splits if rows is None else self.splits[rows]
        counts = np.bincount(splits, minlength=len(SPLITS)).tolist()
        return dict(zip(SPLITS, counts, strict=True))

    def turns_by_split(self) -> dict[Split, int]:
        """How many turns are in each split."""
        counts = np.bincount(self.splits, weights=self.num_turns, minlength=len(SPLITS))
        return dict(zip(SPLITS, counts.astype(int).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of the dialogues of `before`, and what is new in `after`."""

    before: Inventory
    after: Inventory
    removed: Rows
    """[M] rows of `before`."""
    added: Rows
    """[M] rows of `after`."""
    changed: Rows
    """[M, 2] rows of `before` and `after`: the same dialogue in other words."""
    moved: Rows
    """[M, 2] rows of `before` and `after`: the same words in another split."""

    def moves(self) -> dict[tuple[Split, Split], int]:
        """How many dialogues moved from one split to another; test to train is a leak."""
        pairs = zip(
            self.before.splits[self.moved[:, 0]].tolist(),
            self.after.splits[self.moved[:, 1]].tolist(),
            strict=True,
        )
        counts: dict[tuple[Split, Split], int] = {}
        for old, new in pairs:
            key = SPLITS[old], SPLITS[new]
            counts[key] = counts.get(key, 0) + 1
        return counts


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A dialogue of a version, for looking at."""

    id: str
    origin: str
    split: Split
    turns: tuple[Turn, ...]


def take_inventory(path: Path) -> Inventory:
    """Read a records file once, a row group at a time (about 1 s for 100,000 dialogues).

    Raises:
        ValueError: the file is missing, damaged or no records file.
    """
    parts = [_inventory(batch) for batch in _batches(path, _COLUMNS) if batch.num_rows]
    if not parts:
        raise ValueError(f"{path}: holds no dialogue; run the stage that writes it")
    names = [field.name for field in fields(Inventory)]
    return Inventory(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def count_by_split(path: Path) -> tuple[dict[Split, int], dict[Split, int]]:
    """Dialogues and turns by split, without reading any text.

    Raises:
        ValueError: the file is missing, damaged or no records file.
    """
    dialogues, turns = np.zeros(len(SPLITS), dtype=int), np.zeros(len(SPLITS), dtype=int)
    for batch in _batches(path, ("turn", "split")):
        splits = pc.index_in(batch["split"], pa.array(SPLITS)).to_numpy()
        turns += np.bincount(splits, minlength=len(SPLITS))
        dialogues += np.bincount(splits[batch["turn"].to_numpy() == 0], minlength=len(SPLITS))
    counts = (dict(zip(SPLITS, count.tolist(), strict=True)) for count in (dialogues, turns))
    return next(counts), next(counts)


def compare(before: Inventory, after: Inventory) -> Comparison:
    """Pair the dialogues of two versions: those with equal ids first, then those of equal origins.

    A dialogue whose words changed has another id, and is known by its origin: the file and line or
    key it was read from. Where lines were inserted into such a file and dialogues below them were
    rewritten as well, a pair may hold two different dialogues.
    """
    same = _pairs(before.ids, after.ids)
    moved = before.splits[same[:, 0]] != after.splits[same[:, 1]]
    reworded = before.contents[same[:, 0]] != after.contents[same[:, 1]]
    gone = _without(len(before), same[:, 0])
    new = _without(len(after), same[:, 1])
    found = _pairs(before.origins[gone], after.origins[new])
    rewritten = np.stack([gone[found[:, 0]], new[found[:, 1]]], axis=1)
    changed = np.concatenate([same[reworded], rewritten])
    return Comparison(
        before=before,
        after=after,
        removed=np.delete(gone, found[:, 0]),
        added=np.delete(new, found[:, 1]),
        changed=changed[np.argsort(changed[:, 1], kind="stable")],
        moved=same[moved],
    )


def sample(inventory: Inventory, rows: Rows, number: int) -> Rows:
    """Some of these rows, spread over the file: [at most `number`] positions in `rows`, rising.

    Always the same ones, and those that two versions share are mostly drawn from both: the
    contents' hashes decide.
    """
    order = np.argsort(inventory.contents[rows], kind="stable")
    chosen: Rows = np.sort(order[:number])
    return chosen


def excerpts(path: Path, rows: Rows) -> Iterator[Excerpt]:
    """Fetch whole dialogues by their rows, which must rise.

    Raises:
        ValueError: the file is missing, damaged or no records file.
    """
    offset = 0
    for batch in _batches(path, _COLUMNS):
        if not len(rows) or offset > rows[-1]:
            return
        starts = _starts(batch)
        bounds = [*starts.tolist(), batch.num_rows]
        here = rows[(rows >= offset) & (rows < offset + len(starts))] - offset
        for index in here.tolist():
            yield _excerpt(batch.slice(bounds[index], bounds[index + 1] - bounds[index]))
        offset += len(starts)


def _batches(path: Path, columns: Collection[str]) -> Iterator[pa.Table]:
    """As `dialogue.records.read_batches`, of files from before a nullable column was added, too."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such records file; `dvc checkout` brings it back") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: damaged records: {error}") from error
    with file:
        present = [name for name in columns if name in file.schema_arrow.names]
        absent = [name for name in columns if name not in present]
        if needed := [name for name in absent if not SCHEMA.field(name).nullable]:
            raise ValueError(f"{path}: no records file: it has no column {', '.join(needed)}")
        for group in range(file.num_row_groups):
            table = read_group(path, file, group, present)
            for name in absent:
                table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
            yield table


def _inventory(batch: pa.Table) -> Inventory:
    starts = _starts(batch)
    first = batch.take(pa.array(starts))
    lengths = pc.utf8_length(batch["text"]).to_numpy().astype(np.int64)
    return Inventory(
        ids=_hashes(first["dialogue_id"].to_pylist()),
        origins=_hashes(first["origin"].to_pylist()),
        contents=_hashes(_contents(batch, first, starts)),
        splits=pc.index_in(first["split"], pa.array(SPLITS)).to_numpy().astype(np.int8),
        num_turns=np.diff([*starts, batch.num_rows]).astype(np.int32),
        num_characters=np.add.reduceat(lengths, starts),
    )


def _starts(batch: pa.Table) -> Rows:
    """The rows of the table at which a dialogue begins."""
    if not batch.num_rows:
        return np.zeros(0, dtype=np.int64)
    ids = batch["dialogue_id"].combine_chunks()
    begins = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.flatnonzero(begins) + 1]).astype(np.int64)


def _contents(batch: pa.Table, first: pa.Table, starts: Rows) -> Iterator[str]:
    roles, texts = batch["role"].to_pylist(), batch["text"].to_pylist()
    said = [f"{role}\x1f{text}" for role, text in zip(roles, texts, strict=True)]
    more = zip(first["persona"].to_pylist(), first["label"].to_pylist(), strict=True)
    bounds = itertools.pairwise([*starts.tolist(), batch.num_rows])
    for (start, end), about in zip(bounds, more, strict=True):
        yield "\x1e".join([repr(about), *said[start:end]])


def _hashes(texts: Iterable[str]) -> Hashes:
    """64 bits of BLAKE2b each: of 10⁶ texts, two are confused once in 4 · 10⁷ times."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype=np.uint64)


def _pairs(before: Hashes, after: Hashes) -> Rows:
    """[M, 2] positions of equal keys; where a key occurs several times, the k-th with the k-th."""
    left, right = _occurrences(before), _occurrences(after)
    _, ours, theirs = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    pairs = np.stack([ours, theirs], axis=1).astype(np.int64)
    ordered: Rows = pairs[np.argsort(pairs[:, 1], kind="stable")]
    return ordered


def _occurrences(keys: Hashes) -> npt.NDArray[Any]:
    """Each key together with how many equal ones came before it: no two are equal."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    is_first = np.ones(len(keys), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    places = np.arange(len(keys))
    first = np.maximum.accumulate(np.where(is_first, places, 0))
    counted = np.empty(len(keys), dtype=[("key", np.uint64), ("number", np.int64)])
    counted["key"] = keys
    counted["number"][order] = places - first
    return counted


def _without(length: int, taken: Rows) -> Rows:
    left = np.ones(length, dtype=bool)
    left[taken] = False
    return np.flatnonzero(left)


def _excerpt(rows: pa.Table) -> Excerpt:
    said = rows.to_pylist()
    first = said[0]
    return Excerpt(
        id=first["dialogue_id"],
        origin=first["origin"],
        split=first["split"],
        turns=tuple(Turn(row["role"], row["text"]) for row in said),
    )
