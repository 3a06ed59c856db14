"""`kind: file`: a file of the project or of this machine."""

from __future__ import annotations

from pathlib import Path

from dialogue.config import FileSource
from dialogue.sources.raw import RawFile, from_path


def raw_files(source: FileSource) -> tuple[RawFile, ...]:
    """The one file, its path relative to the working directory.

    Raises:
        ValueError: the file is missing or empty.
    """
    return (from_path(Path(source.path).expanduser(), source.path),)
