"""Small parquet tables of rows: written whole, read back whole, checked on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def write_table(path: Path, schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows, page checksums on; no row at all is fine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows), schema=schema)
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def read_table(path: Path, schema: pa.Schema, what: str) -> list[dict[str, Any]]:
    """Read rows back in file order; every page's checksum is verified.

    Args:
        path: the file.
        schema: what `write_table` was given.
        what: the rows' name in errors, such as `scores`.

    Raises:
        ValueError: the file is missing, damaged or has other columns.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such {what} file; run the stage that writes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{path}: damaged {what}: {why}; run its stage again") from error
    if table.schema.names != schema.names:
        raise ValueError(f"{path}: columns {table.schema.names}, expected {schema.names}")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
