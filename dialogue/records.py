"""Dialogue records: the one parquet schema every source is turned into, one row per turn."""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Role = Literal["system", "user", "assistant"]
Split = Literal["train", "validation", "test"]
RejectKind = Literal["fault", "duplicate", "scope"]

_T = TypeVar("_T")

DIALOGUES_PER_GROUP = 4_096
"""Dialogues of a row group; none is ever in two of them."""

_ASCII_SIGNS = bytes(code for code in range(128) if not chr(code).isalnum())
_EXCERPT_CHARACTERS = 200
_REJECTS_PER_GROUP = 10_000

SCHEMA = pa.schema(
    [
        pa.field("dialogue_id", pa.string(), nullable=False),
        pa.field("turn", pa.int32(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("raw_digest", pa.string(), nullable=False),
        pa.field("persona", pa.string(), nullable=True),
        pa.field("label", pa.string(), nullable=True),
    ]
)
"""`origin` is the file and the line or key inside the source; `raw_digest` the file's SHA-256.

`label` is what a labelled dialogue's reply says of its text; null where a dialogue is just talk.
"""

REJECTS_SCHEMA = pa.schema(
    [
        ("origin", pa.string()),
        ("kind", pa.string()),
        ("reason", pa.string()),
        ("excerpt", pa.string()),
    ]
)
_REJECT_COLUMNS = tuple(REJECTS_SCHEMA.names)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a dialogue."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A dialogue with where it came from."""

    id: str
    turns: tuple[Turn, ...]
    domain: str
    split: Split
    source: str
    origin: str
    licence: str
    raw_digest: str
    persona: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was set aside: where it stands, why, and its beginning.

    `reason` is "what: details". `kind` says whether the row is broken, repeats another one, or
    was never meant to be a dialogue.
    """

    origin: str
    reason: str
    excerpt: str
    kind: RejectKind = "fault"


def content_digest(turns: Iterable[Turn]) -> str:
    """SHA-256 over roles and normalized texts: equal for equal dialogues from any source."""
    digest = hashlib.sha256()
    for turn in turns:
        text = " ".join(unicodedata.normalize("NFKC", turn.text).casefold().split())
        digest.update(f"{turn.role}\x1f{text}\x1e".encode())
    return digest.hexdigest()


def words_digest(turns: Iterable[Turn]) -> str:
    """SHA-256 over roles and letters and digits only: equal where only typography differs."""
    digest = hashlib.sha256()
    for turn in turns:
        text = turn.text
        # The same letters either way; nearly all texts are ASCII, and this is 20 times as fast.
        letters = (
            text.lower().encode().translate(None, _ASCII_SIGNS)
            if text.isascii()
            else "".join(filter(str.isalnum, text.casefold())).encode()
        )
        digest.update(b"%b\x1f%b\x1e" % (turn.role.encode(), letters))
    return digest.hexdigest()


def split_of(key: str, test_share: float, validation_share: float) -> Split:
    """The split of a dialogue, from a hash of `key` alone: stable when its source grows.

    Args:
        key: what must not straddle splits: the content digest, or what several share.
        test_share: expected share of dialogues in the test split.
        validation_share: expected share of dialogues in the validation split.
    """
    position = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
    if position < test_share:
        return "test"
    return "validation" if position < test_share + validation_share else "train"


def write_dialogues(path: Path, dialogues: Iterable[Dialogue]) -> int:
    """Write dialogues as records, page checksums on; returns how many were written.

    Holds one row group in memory. Equal dialogues give equal bytes.
    """
    count = 0
    with _writer(path, SCHEMA) as writer:
        for chunk in _chunks(dialogues, DIALOGUES_PER_GROUP):
            count += len(chunk)
            table = _table(chunk)
            # Named, for by itself the writer would cut one of more than a million rows in two.
            writer.write_table(table, row_group_size=table.num_rows)
    return count


def write_batches(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables of whole dialogues, with all columns, as records: a row group each."""
    with _writer(path, SCHEMA) as writer:
        for table in tables:
            if table.num_rows:
                writer.write_table(table.cast(SCHEMA), row_group_size=table.num_rows)


def read_dialogues(path: Path, split: Split | None = None) -> Iterator[Dialogue]:
    """Read records back as dialogues, in file order; every page's checksum is verified.

    Holds one row group in memory.

    Raises:
        ValueError: the file is missing, damaged or not in the records' schema.
    """
    for table in read_batches(path):
        yield from (each for each in dialogues_of(table) if split is None or each.split == split)


def read_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read records as tables of whole dialogues, one per row group, in file order.

    Args:
        path: a records file.
        columns: which columns of `SCHEMA` are wanted; all by default.

    Raises:
        ValueError: as for `read_dialogues`.
    """
    with opened_records(path) as file:
        for group in range(file.num_row_groups):
            yield read_group(path, file, group, columns)


@contextmanager
def opened_records(path: Path) -> Iterator[pq.ParquetFile]:
    """The records file, open; `read_group` reads from it.

    Raises:
        ValueError: the file is missing, damaged or not in the records' schema.
    """
    with _opened(path, SCHEMA, "records") as file:
        yield file


def read_group(
    path: Path, file: pq.ParquetFile, group: int, columns: Sequence[str] | None = None
) -> pa.Table:
    """One row group of an open records file.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return file.read_row_group(group, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: damaged records: {error}") from error


def dialogues_of(table: pa.Table) -> Iterator[Dialogue]:
    """The dialogues of a table with all columns, which holds them whole."""
    columns = [table.column(name).to_pylist() for name in SCHEMA.names]
    rows = zip(*columns, strict=True)
    for name, turns in itertools.groupby(rows, key=lambda row: row[0]):
        listed = list(turns)
        _, _, _, _, domain, split, source, origin, licence, raw_digest, persona, label = listed[0]
        yield Dialogue(
            id=name,
            turns=tuple(Turn(row[2], row[3]) for row in listed),
            domain=domain,
            split=split,
            source=source,
            origin=origin,
            licence=licence,
            raw_digest=raw_digest,
            persona=persona,
            label=label,
        )


def reject(origin: str, reason: str, excerpt: str, kind: RejectKind = "fault") -> Reject:
    """A row set aside; its excerpt cut, and made storable where it is not."""
    storable = excerpt[:_EXCERPT_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
    return Reject(origin, reason, storable, kind)


@contextmanager
def rejects_writer(path: Path) -> Iterator[Callable[[Reject], None]]:
    """Yield a function that keeps a row set aside; the file is written a chunk at a time."""
    kept: list[Reject] = []
    with _writer(path, REJECTS_SCHEMA) as writer:

        def flush() -> None:
            columns = {name: [getattr(each, name) for each in kept] for name in _REJECT_COLUMNS}
            writer.write_table(pa.table(columns, schema=REJECTS_SCHEMA))
            kept.clear()

        def keep(row: Reject) -> None:
            kept.append(row)
            if len(kept) == _REJECTS_PER_GROUP:
                flush()

        yield keep
        if kept:
            flush()


def write_rejects(path: Path, rejects: Iterable[Reject]) -> int:
    """Write the rows that were set aside; returns how many there are."""
    count = 0
    with rejects_writer(path) as keep:
        for count, row in enumerate(rejects, start=1):  # noqa: B007
            keep(row)
    return count


def read_rejects(path: Path) -> Iterator[Reject]:
    """Read back the rows that were set aside, in file order.

    Raises:
        ValueError: the file is missing or damaged.
    """
    with _opened(path, REJECTS_SCHEMA, "rejects") as file:
        for group in range(file.num_row_groups):
            for row in read_group(path, file, group).to_pylist():
                yield Reject(**row)


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(
        path, schema, compression="zstd", write_page_checksum=True, store_schema=True
    ) as writer:
        yield writer


@contextmanager
def _opened(path: Path, schema: pa.Schema, content: str) -> Iterator[pq.ParquetFile]:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such {content} file; run the stage that writes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: damaged {content}: {error}") from error
    with file:
        if file.schema_arrow.names != schema.names:
            raise ValueError(
                f"{path}: columns {file.schema_arrow.names}, expected {schema.names}; "
                "run the stage that writes it again"
            )
        yield file


def _chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _table(dialogues: Sequence[Dialogue]) -> pa.Table:
    """A row per turn; what a dialogue's rows share is laid out once and repeated by index."""
    lengths = np.array([len(dialogue.turns) for dialogue in dialogues])
    owners = pa.array(np.repeat(np.arange(len(dialogues)), lengths))
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    turns = [turn for dialogue in dialogues for turn in dialogue.turns]
    columns: dict[str, Any] = {
        "turn": pa.array((np.arange(len(turns)) - first).astype(np.int32)),
        "role": pa.array([turn.role for turn in turns], pa.string()),
        "text": pa.array([turn.text for turn in turns], pa.string()),
    }
    shared = ("domain", "split", "source", "origin", "licence", "raw_digest", "persona", "label")
    for column, name in (("dialogue_id", "id"), *((name, name) for name in shared)):
        values = pa.array([getattr(dialogue, name) for dialogue in dialogues], pa.string())
        columns[column] = values.take(owners)
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
