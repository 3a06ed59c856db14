"""A progress line for long work: done of total, speed, what the caller adds, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")

_PLAIN_SECONDS = 10.0
_TERMINAL_SECONDS = 0.2


class Progress:
    """Counts work towards `total`; redraws in place on a terminal, a line at times elsewhere.

    Where nobody knows how much there is, `total` is None and the line counts.
    """

    def __init__(
        self, label: str, total: float | None, unit: str, stream: TextIO | None = None
    ) -> None:
        self.label, self.total, self.unit = label, total, unit
        self._stream = stream or sys.stderr
        self._every = _TERMINAL_SECONDS if self._stream.isatty() else _PLAIN_SECONDS
        self._start = self._shown = time.monotonic()
        self._done = self._initial = 0.0

    def resume(self, done: float) -> None:
        """Count what an earlier run did; it does not count towards the speed."""
        self._done = self._initial = done

    def advance(self, amount: float, note: str = "") -> None:
        """Count `amount` more units; `note` stands at the end of the line."""
        self._done += amount
        now = time.monotonic()
        if now - self._shown >= self._every:
            self._shown = now
            self._write(self.line(note))

    def finish(self, note: str = "") -> None:
        """Leave the last line standing."""
        self._write(self.line(note), end="\n")

    def line(self, note: str = "") -> str:
        """The line as it stands now."""
        seconds = max(time.monotonic() - self._start, 1e-6)
        rate = (self._done - self._initial) / seconds
        if self.total is None:
            parts = [f"{self.label} {self._done:,.0f} {self.unit}", f"{rate:,.0f} {self.unit}/s"]
            return "  ".join([*parts, f"in {_clock(seconds)}", *([note] if note else [])])
        left = (self.total - self._done) / rate if rate > 0 else float("inf")
        share = min(self._done / self.total, 1.0) if self.total else 1.0
        filled = round(share * 20)
        bar = "█" * filled + "·" * (20 - filled)
        parts = [
            f"{self.label} {bar} {share:4.0%}",
            f"{rate:,.0f} {self.unit}/s",
            f"{_clock(left)} left" if share < 1 else f"in {_clock(seconds)}",
        ]
        return "  ".join([*parts, note] if note else parts)

    def _write(self, line: str, end: str = "") -> None:
        if self._stream.isatty():
            self._stream.write(f"\r\x1b[K{line}{end}")
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def progress(items: Iterable[T], total: int, label: str, unit: str = "items") -> Iterator[T]:
    """Yield `items` and count them; the line is left standing at the end."""
    bar = Progress(label, total, unit)
    for item in items:
        yield item
        bar.advance(1)
    bar.finish()


def _clock(seconds: float) -> str:
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
