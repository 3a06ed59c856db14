"""Ctrl-C and SIGTERM wait for a good moment, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Interruption:
    """Whether somebody asked to stop."""

    requested: bool = False

    def check(self) -> None:
        """Go no further where somebody did.

        Raises:
            StopRequestedError: somebody did.
        """
        if self.requested:
            raise StopRequestedError


class StopRequestedError(Exception):
    """Somebody asked to stop, and now is a good moment."""


@contextmanager
def deferred_interruption() -> Iterator[Interruption]:
    """Within it SIGINT and SIGTERM set `requested`; a second one interrupts at once.

    Outside the main thread, where Python delivers no signals, nothing is changed.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if interruption.requested:
            raise KeyboardInterrupt
        interruption.requested = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
