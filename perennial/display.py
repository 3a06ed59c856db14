"""What the stages do, as a person sees it while it happens."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

_MARKS = {
    "ran": ("✓", "green"),
    "restored": ("✓", "green"),
    "failed": ("✗", "red"),
}


@contextlib.contextmanager
def shown_stages(console: Console, events: logging.Logger) -> Iterator[None]:
    """Show every event of the logger on the console while the block runs.

    On a terminal each running stage has one line that moves; elsewhere every event is a line.
    """
    display = _Display(console)
    before = events.level, events.propagate
    events.propagate = False
    events.setLevel(logging.DEBUG if console.is_terminal else logging.INFO)
    events.addHandler(display)
    live = Live(
        get_renderable=display.running, console=console, refresh_per_second=8, transient=True
    )
    try:
        with live if console.is_terminal else contextlib.nullcontext():
            yield
    finally:
        events.removeHandler(display)
        events.level, events.propagate = before


@dataclass
class _Running:
    start: float
    spinner: Spinner
    progress: str = ""


class _Display(logging.Handler):
    """Turns the events of `flows.stages` into lines."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._stages: dict[str, _Running] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Show one event."""
        stage: str = record.stage  # type: ignore[attr-defined]
        event: str = record.event  # type: ignore[attr-defined]
        text = record.getMessage()
        if event == "started":
            self._stages[stage] = _Running(time.monotonic(), Spinner("dots"))
            if not self._console.is_terminal:
                self._print(Text(f"  {stage} started"))
        elif event == "progress" and stage in self._stages:
            self._stages[stage].progress = text
        elif event == "line":
            self._print(Text.assemble((f"  {stage:<20} │ ", "dim"), (text, "dim")))
        elif event == "unchanged":
            self._stages.pop(stage, None)
        elif event in _MARKS:
            self._stages.pop(stage, None)
            mark, style = _MARKS[event]
            note = " (from DVC's cache)" if event == "restored" else ""
            self._print(Text.assemble((mark, style), f" {stage:<20}   {text}{note}"))

    def running(self) -> RenderableType:
        """The lines that move."""
        return Group(*(self._line(stage, run) for stage, run in list(self._stages.items())))

    def _line(self, stage: str, run: _Running) -> RenderableType:
        seconds = round(time.monotonic() - run.start)
        clock = f"{seconds // 60}:{seconds % 60:02d}"
        run.spinner.update(text=Text(f"{stage:<20} {clock:>5}  {run.progress}", no_wrap=True))
        return run.spinner

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)
