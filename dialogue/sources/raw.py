"""A raw file of a source: its name, its digest, and its bytes on demand."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dialogue.digests import file_digest


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file or archive member that dialogues are read from; `num_bytes` is None if unknown.

    `is_hashed` says whether `digest` is the SHA-256 of the bytes that `open` gives, so that what
    is read can be held against it.
    """

    name: str
    digest: str
    num_bytes: int | None
    open: Callable[[], IO[bytes]]
    is_hashed: bool = True


def from_path(path: Path, name: str) -> RawFile:
    """A file on this machine.

    Raises:
        ValueError: the file is missing, no file, or empty.
    """
    if not path.is_file():
        kind = "a folder; name files in it by `members`" if path.is_dir() else "missing; correct it"
        raise ValueError(f"{path}: the source's file is {kind}")
    size = path.stat().st_size
    if not size:
        raise ValueError(f"{path}: the source's file is empty; put dialogues into it")
    return RawFile(name, file_digest(path), size, lambda: path.open("rb"))


def from_stream(open_member: Callable[[], IO[bytes]], name: str, num_bytes: int) -> RawFile:
    """An archive's member, read from the archive whenever it is opened.

    Raises:
        ValueError: there are no bytes.
    """
    if not num_bytes:
        raise ValueError(f"{name}: the source's file is empty; put dialogues into it")
    with open_member() as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return RawFile(name, digest.hexdigest(), num_bytes, open_member)


def from_bytes(data: bytes, name: str) -> RawFile:
    """An archive's member that is held in memory.

    Raises:
        ValueError: there are no bytes.
    """
    return from_stream(lambda: io.BytesIO(data), name, len(data))
