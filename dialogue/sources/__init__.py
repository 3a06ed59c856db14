"""Sources: where dialogues and plain text come from, and how they become ours.

A source names a kind (where its raw files are) and a format (how they are read); each is looked
up in a dict below, so that a new kind or format is one module and one line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from dialogue.config import FileSource, HubSource, Source, WheelSource
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue, Reject, reject
from dialogue.sources import file, hub, wheel
from dialogue.sources.draft import (
    Draft,
    Provenance,
    finish,
    finish_reject,
    sound,
)
from dialogue.sources.formats import FORMATS, TEXT_FORMATS
from dialogue.sources.raw import RawFile
from dialogue.sources.reading import Format, reading_of, scrubbed_errors, shown
from dialogue.sources.selection import smallest
from dialogue.sources.unpacking import opened

KINDS: dict[str, Callable[[Any], tuple[RawFile, ...]]] = {
    "file": file.raw_files,
    "hub": hub.raw_files,
    "wheel": wheel.raw_files,
}


def read(
    source: Source,
    files: Sequence[RawFile],
    domain: str,
    *,
    test_share: float,
    validation_share: float,
    scrubber: Scrubber,
    max_row_bytes: int,
) -> Iterator[Dialogue | Reject]:
    """Every dialogue of a source, and every row that is none, in the order of its files.

    Formats of a row a dialogue are read a row at a time, in constant memory but for some 200 bytes
    per id that the file itself gives; an id that one file gives to two dialogues is a fault.

    Args:
        source: where from.
        files: its `raw_files`, listed once, so that who reports of them reports what was read.
        domain: whose dialogues they become.
        test_share: expected share of dialogues in the test split.
        validation_share: expected share of dialogues in the validation split.
        scrubber: takes personal data out of all texts, and out of what is kept of rejected rows.
        max_row_bytes: rows larger than this are refused before they are parsed.

    Raises:
        ValueError: an option does not fit the source's format, a file is damaged as a whole or
            is not the one that was listed, or nothing stands in the source.
    """
    form = _format(source, FORMATS, "dialogues")
    reading = reading_of(source, form, f"ingest.sources.{domain}", max_row_bytes)
    num_rows = 0
    for raw in files:
        provenance = Provenance(
            domain,
            title(source),
            source.licence,
            raw.digest,
            test_share,
            validation_share,
            scrubber,
        )
        with scrubbed_errors(scrubber), opened(raw) as stream:
            for row in _finished(form.read(raw.name, stream, reading), provenance):
                num_rows += 1
                yield row
    if not num_rows:
        raise ValueError(f"{title(source)}: no dialogue stands in it; correct the source")


def read_text(
    source: Source, files: Sequence[RawFile], *, scrubber: Scrubber, max_row_bytes: int
) -> Iterator[str]:
    """Every document of a source of plain text, or those that its `limit` leaves; scrubbed.

    Raises:
        ValueError: as for `read`, and where a row is damaged: a text has no rejects.
    """
    with scrubbed_errors(scrubber):
        documents = _documents(source, files, max_row_bytes)
        if source.limit is not None:
            documents = iter(smallest(documents, source.limit, _text_digest))
        first = next(documents, None)
        if first is None:
            raise ValueError(f"{title(source)}: no text stands in it; correct the source")
        yield scrubber.scrub(first)
        for document in documents:
            yield scrubber.scrub(document)


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


def _finished(
    rows: Iterable[Draft | Reject], provenance: Provenance
) -> Iterator[Dialogue | Reject]:
    """The rows of one file, as dialogues where they are some and their ids are not taken."""
    scrubber = provenance.scrub
    origins: dict[bytes, str] = {}
    for row in rows:
        if isinstance(row, Reject):
            yield finish_reject(row, scrubber)
            continue
        done = finish(row, provenance)
        if isinstance(done, Dialogue) and row.given_id is not None:
            digest = _short_digest(row.given_id)
            if (first := origins.get(digest)) is not None:
                given = scrubber.scrub(shown(row.given_id))
                excerpt = "\n".join(turn.text for turn in done.turns[:4])
                reason = f"duplicate id: {given} was given before, at {first}"
                done = reject(row.origin, reason, excerpt)
            else:
                origins[digest] = row.origin
        yield done


def _documents(source: Source, files: Sequence[RawFile], max_row_bytes: int) -> Iterator[str]:
    form = _format(source, TEXT_FORMATS, "plain text")
    reading = reading_of(source, form, title(source), max_row_bytes)
    for raw in files:
        with opened(raw) as stream:
            for number, document in enumerate(form.read(raw.name, stream, reading), start=1):
                try:
                    yield sound(document)
                except ValueError as error:
                    raise ValueError(f"{raw.name}: document {number}: {error}") from error


def _format(source: Source, formats: dict[str, Format], content: str) -> Format:
    if source.format not in formats:
        raise ValueError(
            f"{title(source)}: `format: {source.format}` is no format of {content}; use one of "
            f"{', '.join(sorted(formats))}"
        )
    return formats[source.format]


def _short_digest(given_id: str) -> bytes:
    return hashlib.blake2b(given_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
