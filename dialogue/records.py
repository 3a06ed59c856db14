"""Dialogue records: the one parquet schema every source is turned into, one row per turn."""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

Role = Literal["system", "user", "assistant"]
Split = Literal["train", "validation", "test"]
RejectKind = Literal["fault", "duplicate", "scope"]

_EXCERPT_CHARACTERS = 200

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
    ]
)
"""`origin` is the file and the line or key inside the source; `raw_digest` the file's SHA-256."""

REJECTS_SCHEMA = pa.schema(
    [
        ("origin", pa.string()),
        ("kind", pa.string()),
        ("reason", pa.string()),
        ("excerpt", pa.string()),
    ]
)


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
        letters = "".join(filter(str.isalnum, turn.text.casefold()))
        digest.update(f"{turn.role}\x1f{letters}\x1e".encode())
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
    """Write dialogues as records, page checksums on; returns how many were written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with pq.ParquetWriter(
        path, SCHEMA, compression="zstd", write_page_checksum=True, store_schema=True
    ) as writer:
        for chunk in _chunks(dialogues, 5_000):
            count += len(chunk)
            rows = [row for dialogue in chunk for row in _rows(dialogue)]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    return count


def read_dialogues(path: Path, split: Split | None = None) -> Iterator[Dialogue]:
    """Read records back as dialogues, in file order; every page's checksum is verified.

    Raises:
        ValueError: the file is missing, damaged or not in the records' schema.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such records file; run the stage that writes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: damaged records: {error}") from error
    if table.schema.names != SCHEMA.names:
        raise ValueError(f"{path}: columns {table.schema.names}, expected {SCHEMA.names}")
    for _, rows in itertools.groupby(table.to_pylist(), key=lambda row: row["dialogue_id"]):
        dialogue = _dialogue(list(rows))
        if split is None or dialogue.split == split:
            yield dialogue


def reject(origin: str, reason: str, excerpt: str, kind: RejectKind = "fault") -> Reject:
    """A row set aside; its excerpt cut, and made storable where it is not."""
    storable = excerpt[:_EXCERPT_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
    return Reject(origin, reason, storable, kind)


def write_rejects(path: Path, rejects: Iterable[Reject]) -> int:
    """Write the rows that were set aside; returns how many there are."""
    rows = [asdict(reject) for reject in rejects]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist(rows, schema=REJECTS_SCHEMA), path, write_page_checksum=True
    )
    return len(rows)


def read_rejects(path: Path) -> list[Reject]:
    """Read back the rows that were set aside.

    Raises:
        ValueError: the file is missing or damaged.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such rejects file; run the stage that writes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: damaged rejects: {error}") from error
    return [Reject(**row) for row in table.to_pylist()]


def _chunks(dialogues: Iterable[Dialogue], size: int) -> Iterator[list[Dialogue]]:
    iterator = iter(dialogues)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _rows(dialogue: Dialogue) -> Iterator[dict[str, Any]]:
    for index, turn in enumerate(dialogue.turns):
        yield {
            "dialogue_id": dialogue.id,
            "turn": index,
            "role": turn.role,
            "text": turn.text,
            "domain": dialogue.domain,
            "split": dialogue.split,
            "source": dialogue.source,
            "origin": dialogue.origin,
            "licence": dialogue.licence,
            "raw_digest": dialogue.raw_digest,
            "persona": dialogue.persona,
        }


def _dialogue(rows: list[dict[str, Any]]) -> Dialogue:
    first = rows[0]
    return Dialogue(
        id=first["dialogue_id"],
        turns=tuple(Turn(row["role"], row["text"]) for row in rows),
        domain=first["domain"],
        split=first["split"],
        source=first["source"],
        origin=first["origin"],
        licence=first["licence"],
        raw_digest=first["raw_digest"],
        persona=first["persona"],
    )
