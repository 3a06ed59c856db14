from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dialogue.tables import read_table, write_table

SCHEMA = pa.schema([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.float64())])


@pytest.mark.parametrize("rows", [[], [{"name": "a", "value": 1.5}, {"name": "b", "value": None}]])
def test_rows_come_back_as_they_were_written(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "deep" / "rows.parquet"
    write_table(path, SCHEMA, rows)
    assert read_table(path, SCHEMA, "scores") == rows


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with pytest.raises(ValueError, match=r"rows\.parquet: no such scores file; run the stage"):
        read_table(path, SCHEMA, "scores")
    write_table(path, pa.schema([pa.field("other", pa.string())]), [])
    with pytest.raises(ValueError, match=r"columns \['other'\], expected \['name', 'value'\]"):
        read_table(path, SCHEMA, "scores")
    write_table(path, SCHEMA, [{"name": "a" * 100, "value": 1.0}])
    damaged = bytearray(path.read_bytes())
    damaged[20] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"damaged scores: .*; run its stage again$"):
        read_table(path, SCHEMA, "scores")
