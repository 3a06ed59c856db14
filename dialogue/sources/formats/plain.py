"""Plain text: the whole file is one document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from dialogue.sources.formats.lines import whole_text


def read_plain(name: str, stream: IO[bytes]) -> Iterator[str]:
    """The file's text.

    Raises:
        ValueError: it is not UTF-8.
    """
    yield whole_text(name, stream)
