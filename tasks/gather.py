"""Fetch the unlabelled text of pretraining: scrubbed, once each, with its fingerprints."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dialogue import sources
from dialogue.config import Gather, Params
from dialogue.containment import grams
from dialogue.digests import file_digest
from dialogue.exam import INSTRUCTIONS
from dialogue.fingerprints import SCHEMA, Fingerprints, write_fingerprints
from dialogue.instructions import plain_instructions
from dialogue.log import Log
from dialogue.manifest import write_manifest
from dialogue.near_duplicates import signatures
from dialogue.privacy import Scrubber
from dialogue.texts import Text, read_texts, write_texts
from tasks._step import run


def gather(params: Params, log: Log, *, text: Path, fingerprints: Path, report: Path) -> None:
    """Write every document of the sources as parquet, and what its text can be recognised by.

    Leaves `text.parquet` and a manifest under `text`, and under `fingerprints` what each domain
    that is learned later is compared with: this text, and the plain instructions where they are
    asked of every model. Personal data is replaced before anything
    is written; a text that stands in the sources twice is kept once.

    Raises:
        ValueError: a source cannot be had or read, or holds no text.
    """
    settings = params.gather
    scrubber = Scrubber(settings.scrub)
    counts: Counter[str] = Counter()
    files: list[dict[str, Any]] = []
    path = text / "text.parquet"
    partial = text / "text.parquet.partial"
    try:
        write_texts(partial, _texts(settings, scrubber, counts, files))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    write_manifest(text)
    write_fingerprints(
        fingerprints,
        _instructions() if params.evaluate.instructions else None,
        text=grams(each.text for each in read_texts(path)),
    )
    figures: dict[str, int] = {
        "num_documents": counts["documents"],
        "num_duplicates": counts["duplicates"],
        "num_characters": counts["characters"],
    }
    scrubbed = {kind: scrubber.counts[kind] for kind in settings.scrub}
    _write_report(report, {**figures, "scrubbed": scrubbed, "files": files})
    log.dataset("text", file_digest(path), path, "gather")
    log.metrics(figures)


def _instructions() -> Fingerprints:
    """Of the exam that every model sits, so that no domain teaches it."""
    asked = plain_instructions()
    facts = [(each.id, each.origin, each.split) for each in asked]
    columns = [pa.array(column) for column in zip(*facts, strict=True)]
    turns = ([turn.text for turn in each.turns] for each in asked)
    return Fingerprints(
        INSTRUCTIONS, pa.Table.from_arrays(columns, schema=SCHEMA), signatures(turns)
    )


def _texts(
    settings: Gather, scrubber: Scrubber, counts: Counter[str], files: list[dict[str, Any]]
) -> Iterator[Text]:
    """Every text once; counts them, and notes the files they are read from."""
    seen: set[str] = set()
    for source in settings.sources:
        title = sources.title(source)
        raw_files = sources.raw_files(source)
        files += [
            {
                "source": title,
                "licence": source.licence,
                "name": raw.name,
                "sha256": raw.digest,
                "bytes": raw.num_bytes,
            }
            for raw in raw_files
        ]
        documents = sources.read_text(
            source, raw_files, scrubber=scrubber, max_row_bytes=settings.max_row_bytes
        )
        for document in documents:
            name = hashlib.sha256(document.encode()).hexdigest()[:16]
            if name in seen:
                counts["duplicates"] += 1
                continue
            seen.add(name)
            counts["documents"] += 1
            counts["characters"] += len(document)
            yield Text(name, document, title, source.licence)


def _write_report(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(gather)
