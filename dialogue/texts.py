"""Unlabelled text as parquet: a document a row, with its source and licence."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
    ]
)
_COLUMNS = tuple(SCHEMA.names)
_TEXTS_PER_GROUP = 1_000


@dataclass(frozen=True, slots=True)
class Text:
    """A document; its id is the beginning of the SHA-256 of what it says."""

    id: str
    text: str
    source: str
    licence: str


def write_texts(path: Path, texts: Iterable[Text]) -> int:
    """Write documents, page checksums on; returns how many. Holds one row group in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    iterator = iter(texts)
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", write_page_checksum=True) as writer:
        while chunk := list(itertools.islice(iterator, _TEXTS_PER_GROUP)):
            count += len(chunk)
            columns = {name: [getattr(each, name) for each in chunk] for name in _COLUMNS}
            writer.write_table(pa.table(columns, schema=SCHEMA))
    return count


def read_texts(path: Path) -> Iterator[Text]:
    """Read documents back, in file order; every page's checksum is verified.

    Raises:
        ValueError: the file is missing, damaged or has other columns.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if tuple(file.schema_arrow.names) != _COLUMNS:
                raise ValueError(f"{path}: columns {file.schema_arrow.names}, expected {_COLUMNS}")
            for group in range(file.num_row_groups):
                for row in file.read_row_group(group).to_pylist():
                    yield Text(**row)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; run gather first") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: damaged: {error}; run gather again") from error
