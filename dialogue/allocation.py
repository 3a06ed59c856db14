"""How the C library's allocator treats what training frees."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_BYTES = 32 << 20
"""The highest that glibc itself moves its threshold to."""
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Let glibc keep what is freed: a step needs the memory of the step before.

    Given back and taken again, every page of it is a fault. Where there is no glibc, nothing
    happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
    library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
