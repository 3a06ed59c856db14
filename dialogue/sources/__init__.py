"""Sources: where dialogues and plain text come from, and how they become ours.

A source names a kind (where its raw files are) and a format (how they are read); each is looked
up in a dict below, so that a new kind or format is one module and one line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from dialogue.config import FileSource, HubSource, Source, WheelSource
from dialogue.records import Dialogue, Reject
from dialogue.sources import file, hub, wheel
from dialogue.sources.draft import Provenance, finish
from dialogue.sources.formats import FORMATS, TEXT_FORMATS
from dialogue.sources.raw import RawFile
from dialogue.sources.selection import smallest

KINDS: dict[str, Callable[[Any], tuple[RawFile, ...]]] = {
    "file": file.raw_files,
    "hub": hub.raw_files,
    "wheel": wheel.raw_files,
}


def read(
    source: Source, domain: str, *, test_share: float, validation_share: float
) -> Iterator[Dialogue | Reject]:
    """Every dialogue of a source, and every row that is none, in the order of its files.

    Raises:
        ValueError: the source cannot be had, a file is unusable as a whole, the format is
            unknown, or nothing stands in the source.
    """
    parse = _format(source, FORMATS, "dialogues")
    num_rows = 0
    for raw in raw_files(source):
        provenance = Provenance(
            domain, title(source), source.licence, raw.digest, test_share, validation_share
        )
        with raw.open() as stream:
            for row in parse(raw.name, stream):
                num_rows += 1
                yield row if isinstance(row, Reject) else finish(row, provenance)
    if not num_rows:
        raise ValueError(f"{title(source)}: no dialogue stands in it; correct the source")


def read_text(source: Source) -> Iterator[str]:
    """Every document of a source of plain text, or those that its `limit` leaves.

    Raises:
        ValueError: as for `read`.
    """
    documents = _documents(source)
    if source.limit is not None:
        documents = iter(smallest(documents, source.limit, _text_digest))
    first = next(documents, None)
    if first is None:
        raise ValueError(f"{title(source)}: no text stands in it; correct the source")
    yield first
    yield from documents


def raw_files(source: Source) -> tuple[RawFile, ...]:
    """The files a source is read from, with their digests.

    Raises:
        ValueError: the source cannot be had.
    """
    return KINDS[source.kind](source)


def title(source: Source) -> str:
    """A source in a few words: a package, a path, or a hub id with its revision and split."""
    if isinstance(source, WheelSource):
        return source.package
    if isinstance(source, HubSource):
        return f"{source.id}@{source.revision}/{source.split}"
    assert isinstance(source, FileSource)
    return source.path


def _documents(source: Source) -> Iterator[str]:
    parse = _format(source, TEXT_FORMATS, "plain text")
    for raw in raw_files(source):
        with raw.open() as stream:
            yield from parse(raw.name, stream)


def _format(source: Source, formats: dict[str, Any], content: str) -> Any:
    if source.format not in formats:
        raise ValueError(
            f"{title(source)}: `format: {source.format}` is no format of {content}; use one of "
            f"{', '.join(sorted(formats))}"
        )
    return formats[source.format]


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
