"""Whether a source still is what ingest read: DVC knows its settings, and not its bytes."""

from __future__ import annotations

import json
from pathlib import Path

from dialogue.config import FileSource, Source
from dialogue.sources import raw_files


def source_changed(source: Source, report: Path) -> bool:
    """Whether a file source differs from the one that ingest reported on.

    Packages and hub datasets are pinned and never do. Where ingest has not run, or the source
    cannot be had, it is for ingest to run or to say so.
    """
    if not isinstance(source, FileSource):
        return False
    try:
        noted = json.loads(report.read_text(encoding="utf-8"))["files"]
        before = [(each["name"], each["sha256"]) for each in noted]
        now = [(raw.name, raw.digest) for raw in raw_files(source)]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return before != now
