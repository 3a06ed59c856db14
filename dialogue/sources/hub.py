"""`kind: hub`: a dataset of the Hugging Face hub, streamed as JSON lines."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

from dialogue.config import HubSource
from dialogue.sources.raw import RawFile

_LOG = logging.getLogger(__name__)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def raw_files(source: HubSource) -> tuple[RawFile, ...]:
    """The split as one file of JSON lines, a row each, fetched while it is read.

    There is no file to hash before the rows have come, so the digest is that of the title: as firm
    as the revision. Of one that is no commit it is warned.
    """
    if not _COMMIT.fullmatch(source.revision):
        _LOG.warning(
            "hub dataset `%s`: revision `%s` is a name that may move, and no pin; name the commit, "
            "40 hexadecimal digits",
            source.id,
            source.revision,
        )
    name = title(source)
    digest = hashlib.sha256(name.encode()).hexdigest()
    return (RawFile(name, digest, None, lambda: _json_lines(source), is_hashed=False),)


def title(source: HubSource) -> str:
    """The id with its revision, configuration (if one is named) and split."""
    part = f"{source.configuration}/" if source.configuration is not None else ""
    return f"{source.id}@{source.revision}/{part}{source.split}"


def _json_lines(source: HubSource) -> IO[bytes]:
    return io.BufferedReader(_Lines(_rows(source)))


def _rows(source: HubSource) -> Iterator[bytes]:
    num_rows = 0
    try:
        for row in _loaded(source):
            yield (json.dumps(row, ensure_ascii=True, default=str) + "\n").encode()
            num_rows += 1
    # Errors of httpx, aiohttp, Arrow and decompressors share no class, and `datasets` wraps few of
    # them; all mean that the next row cannot be had. An empty file shows as a bare StopIteration.
    except Exception as error:
        empty = isinstance(error, StopIteration)
        reason = "it is empty" if empty else " ".join(str(error).split()) or type(error).__name__
        past = f", past row {num_rows}" if num_rows else ""
        raise ValueError(
            f"hub dataset `{source.id}` at revision `{source.revision}`, split `{source.split}`"
            f"{past}: {reason}; check id, revision, configuration, split and the connection"
        ) from error


def _loaded(source: HubSource) -> Iterable[dict[str, Any]]:
    """The split's rows, streamed or from the cache that they are fetched into."""
    # Imported here: `datasets` takes a second that no other kind of source needs.
    from datasets import load_dataset  # noqa: PLC0415

    rows: Iterable[dict[str, Any]] = load_dataset(
        source.id,
        name=source.configuration,
        revision=source.revision,
        split=source.split,
        streaming=source.streaming,
    )
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
