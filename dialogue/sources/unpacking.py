"""The bytes of a raw file as formats read them: unpacked, bounded, and held against their digest.

Compression is recognised by content, never by name. What unpacks to more than it may is refused
while it is unpacked, before it fills a disk or the memory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

import pyarrow as pa

from dialogue.sources.raw import RawFile

MAX_RATIO = 200
"""Unpacked bytes per packed byte. Dialogues reach 20; a bomb of zeros reaches 1,000."""
MAX_UNPACKED_BYTES = 64 << 30
FREE_BYTES = 1 << 20
"""What may be unpacked at any ratio: a short file of equal lines is no bomb."""
_PACKED_BUFFER = 1 << 16  # What is read ahead counts as packed: keep it small beside a bomb.
_BUFFER = 1 << 18

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_DAMAGES = (EOFError, OSError, zlib.error, zipfile.BadZipFile)


class DamagedError(ValueError):
    """A file that cannot be unpacked; whoever knows name and line says them."""


@contextmanager
def opened(raw: RawFile) -> Iterator[IO[bytes]]:
    """A raw file's bytes, unpacked where they are gzip or zstd.

    Leaving it without an error, or with a `ValueError`, reads on to the end and compares.

    Raises:
        ValueError: it is damaged, unpacks to too much, or what was read is not what was hashed.
    """
    with raw.open() as inner:
        watched = Watched(inner)
        try:
            yield _unpacked(raw.name, watched)
        except DamagedError as error:
            _verify(raw, watched)
            raise ValueError(f"{raw.name}: {error}") from error
        except ValueError:
            _verify(raw, watched)
            raise
        _verify(raw, watched)


def check_bounds(unpacked: int, packed: int) -> None:
    """Whether so many bytes may come of so few.

    Raises:
        DamagedError: the ratio or the size is beyond its bound.
    """
    if unpacked > MAX_UNPACKED_BYTES:
        raise DamagedError(f"unpacks to more than {MAX_UNPACKED_BYTES} bytes; split the file")
    if unpacked > max(FREE_BYTES, MAX_RATIO * packed):
        raise DamagedError(
            f"unpacks to more than {MAX_RATIO} times its size, as no dialogues do; do not trust it"
        )


class Watched(io.RawIOBase):
    """A stream that hashes what is read of it from beginning to end."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner: Any = inner
        self._digest = hashlib.sha256()
        self._is_sequential = True
        self.num_read = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """Whether the file is."""
        return bool(self._inner.seekable())

    def tell(self) -> int:
        """Where it stands."""
        return int(self._inner.tell())

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go elsewhere, as readers of parquet do: the file is then hashed once more at its end."""
        if whence or offset != self._inner.tell():
            self._is_sequential = False
        return int(self._inner.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; 0 at the end."""
        count = int(self._inner.readinto(buffer) or 0)
        if self._is_sequential:
            self._digest.update(memoryview(buffer)[:count])
        self.num_read += count
        return count

    def whole_digest(self) -> str:
        """SHA-256 of the whole file: of what was read, and of the rest of it."""
        if not self._is_sequential:
            self._inner.seek(0)
            self._digest = hashlib.sha256()
        while chunk := self._inner.read(1 << 20):
            self._digest.update(chunk)
        return self._digest.hexdigest()


class _Bounded(io.RawIOBase):
    """An unpacking stream that counts what comes out, and says when it is damaged."""

    def __init__(self, kind: str, inner: Any, packed: Watched) -> None:
        self._kind = kind
        self._inner = inner
        self._packed = packed
        self._num_bytes = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._inner.read(len(buffer))
        except _DAMAGES as error:
            raise DamagedError(f"damaged or cut-off {self._kind}: {error}") from error
        self._num_bytes += len(chunk)
        check_bounds(self._num_bytes, self._packed.num_read)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _unpacked(name: str, watched: Watched) -> IO[bytes]:
    stream = io.BufferedReader(watched, _PACKED_BUFFER)
    magic = stream.peek(4)[:4]
    if magic in ZIP_MAGIC:
        raise ValueError(f"{name}: a zip inside of an archive; unpack one of the two")
    if magic.startswith(_GZIP_MAGIC):
        inner: Any = gzip.GzipFile(fileobj=stream, mode="rb")
        return io.BufferedReader(_Bounded("gzip", inner, watched), _BUFFER)
    if magic == _ZSTD_MAGIC:
        inner = pa.CompressedInputStream(stream, "zstd")
        return io.BufferedReader(_Bounded("zstd", inner, watched), _BUFFER)
    return cast(IO[bytes], stream)


def _verify(raw: RawFile, watched: Watched) -> None:
    if raw.is_hashed and watched.whole_digest() != raw.digest:
        raise ValueError(
            f"{raw.name}: changed while it was read; run again when nothing writes to it"
        )
