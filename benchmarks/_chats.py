"""Real chats to measure on: those of chitchat-dataset, as the project's `params.yaml` names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dialogue.config import load_params
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue
from dialogue.sources import raw_files, read

_ROOT = Path(__file__).parents[1]


def chats() -> Iterator[Dialogue]:
    """Every dialogue of the source, whatever `limit` the pipeline has for it."""
    ingest = load_params(_ROOT / "params.yaml").ingest
    source = ingest.sources["chitchat"].model_copy(update={"limit": None})
    found = read(
        source,
        raw_files(source),
        "chitchat",
        test_share=0.0,
        validation_share=0.0,
        scrubber=Scrubber(ingest.scrub),
        max_row_bytes=ingest.max_row_bytes,
    )
    return (item for item in found if isinstance(item, Dialogue))
