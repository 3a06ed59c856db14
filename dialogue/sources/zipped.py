"""The members of a zip as raw files, bounded before they are read."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO

from dialogue.sources.archive import check_names, is_litter, matching
from dialogue.sources.raw import RawFile, from_stream
from dialogue.sources.unpacking import ZIP_MAGIC, DamagedError, check_bounds

# RuntimeError: it is encrypted. OSError: bzip2's.
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
)


def is_zip(path: Path) -> bool:
    """Whether the file begins as a zip, whatever it is called."""
    with path.open("rb") as stream:
        return stream.read(4) in ZIP_MAGIC


def zip_members(path: Path, name: str, members: Sequence[str]) -> tuple[RawFile, ...]:
    """The members of a zip (its only one where none is named), checked whole before any is read.

    What macOS adds to a zip is no member.

    Raises:
        ValueError: it is damaged, holds no such member or one that would leave it, or a member
            unpacks to too much.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            check_names(path, sizes)
            sizes = {each: info for each, info in sizes.items() if not is_litter(each)}
            patterns = members or _only(path, sizes)
            chosen = [each for pattern in patterns for each in matching(pattern, sizes, str(path))]
            return tuple(
                _zip_member(path, name, sizes[each], each) for each in dict.fromkeys(chosen)
            )
    except _DAMAGES as error:
        raise ValueError(f"{path}: no readable zip: {error}; is the file whole?") from error


def _zip_member(path: Path, name: str, info: zipfile.ZipInfo, member: str) -> RawFile:
    try:
        # zipfile itself reads no more of a member than its header says.
        check_bounds(info.file_size, info.compress_size)
    except DamagedError as error:
        raise ValueError(f"{path}: member `{member}` {error}") from error

    def open_member() -> IO[bytes]:
        # The archive's file stays open until the member is closed.
        with zipfile.ZipFile(path) as archive:
            return archive.open(member)

    return from_stream(open_member, f"{name}/{member}", info.file_size)


def _only(path: Path, names: Collection[str]) -> Sequence[str]:
    if len(names) == 1:
        return list(names)
    some = ", ".join(sorted(names)[:5])
    raise ValueError(f"{path}: the zip holds {len(names)} files ({some}); name some by `members`")
