"""Sources of files, read as the ingest step reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialogue import sources
from dialogue.config import FileSource
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue, Reject

MAX_ROW_BYTES = 1 << 20

Rows = list[Dialogue | Reject]


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., Rows]:
    """Reads a file source: its path and format, its other options by name."""

    def read(path: Path | str, form: str, **options: Any) -> Rows:
        source = FileSource(kind="file", path=str(path), format=form, licence="MIT", **options)
        return list(
            sources.read(
                source,
                sources.raw_files(source),
                "chat",
                test_share=0.2,
                validation_share=0.1,
                scrubber=Scrubber(()),
                max_row_bytes=MAX_ROW_BYTES,
            )
        )

    return read
