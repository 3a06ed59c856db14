"""`kind: hub`: a dataset of the Hugging Face hub, streamed as JSON lines."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from typing import IO, Any

from dialogue.config import HubSource
from dialogue.sources.raw import RawFile


def raw_files(source: HubSource) -> tuple[RawFile, ...]:
    """The split as one file of JSON lines, a row each, fetched while it is read.

    There is no file to hash before the rows have come, so the digest is that of id, revision and
    split: as firm as the revision, which should be a commit.
    """
    name = f"{source.id}@{source.revision}/{source.split}"
    digest = hashlib.sha256(name.encode()).hexdigest()
    return (RawFile(name, digest, None, lambda: _json_lines(source), is_hashed=False),)


def _json_lines(source: HubSource) -> IO[bytes]:
    return io.BufferedReader(_Lines(_rows(source)))


def _rows(source: HubSource) -> Iterator[bytes]:
    for row in _loaded(source):
        yield (json.dumps(row, ensure_ascii=True, default=str) + "\n").encode()


def _loaded(source: HubSource) -> Iterable[dict[str, Any]]:
    """The split's rows, streamed or from the cache that they are fetched into."""
    # Imported here: `datasets` takes a second that no other kind of source needs.
    from datasets import load_dataset  # noqa: PLC0415
    from datasets.exceptions import DatasetsError  # noqa: PLC0415

    try:
        rows: Iterable[dict[str, Any]] = load_dataset(
            source.id,
            name=source.configuration,
            revision=source.revision,
            split=source.split,
            streaming=source.streaming,
        )
    # A bare StopIteration is how an empty file shows.
    except (OSError, ValueError, DatasetsError, StopIteration) as error:
        reason = " ".join(str(error).split()) or "it is empty"
        raise ValueError(
            f"hub dataset `{source.id}` at revision `{source.revision}`, split `{source.split}`: "
            f"{reason}; check id, revision, split and the connection"
        ) from error
    return rows


class _Lines(io.RawIOBase):
    """Lines that are made as they are read, as a binary stream."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what is left of a line, or with the next one; 0 at the end."""
        self._rest = self._rest or next(self._lines, b"")
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
