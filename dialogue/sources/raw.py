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
    """A file or archive member that dialogues are read from; `num_bytes` is None if unknown."""

    name: str
    digest: str
    num_bytes: int | None
    open: Callable[[], IO[bytes]]


def from_path(path: Path, name: str) -> RawFile:
    """A file on this machine.

    Raises:
        ValueError: the file is missing, no file, or empty.
    """
    if not path.is_file():
        kind = "a folder; name a file in it" if path.is_dir() else "missing; correct the path"
        raise ValueError(f"{path}: the source's file is {kind}")
    size = path.stat().st_size
    if not size:
        raise ValueError(f"{path}: the source's file is empty; put dialogues into it")
    return RawFile(name, file_digest(path), size, lambda: path.open("rb"))


def from_bytes(data: bytes, name: str) -> RawFile:
    """An archive's member.

    Raises:
        ValueError: there are no bytes.
    """
    if not data:
        raise ValueError(f"{name}: the source's file is empty; put dialogues into it")
    return RawFile(name, hashlib.sha256(data).hexdigest(), len(data), lambda: io.BytesIO(data))
