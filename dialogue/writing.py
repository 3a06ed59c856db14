"""A file that cannot be written is named, with the mend; half of it is not left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def named_where_it_fails(path: Path, partial: Path, then: str = "") -> Iterator[None]:
    """Within it `partial`, a file or a folder, is written that is to become `path`.

    Args:
        path: what the error names.
        partial: what is removed where it fails or is interrupted.
        then: what running again will do.

    Raises:
        OSError: it cannot be written, because the disk is full, for example.
    """
    try:
        with removed_where_it_ends_early(partial):
            yield
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"{path}: cannot be written ({error}); make room and run again{then}"
        ) from error


@contextmanager
def removed_where_it_ends_early(partial: Path) -> Iterator[None]:
    """Whatever ends the block, Ctrl-C as well, `partial`, a file or a folder, is not left."""
    try:
        yield
    except BaseException:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
        raise
