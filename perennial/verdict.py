"""A verdict on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_STATES = {
    "passed": ("✓", "green"),
    "failed": ("✗", "red"),
    "undecided": ("?", "yellow"),
    "not counted": ("–", "dim"),
}
_VERDICTS = {"PROMOTE": "green", "REJECT": "red", "INCONCLUSIVE": "yellow"}


def print_verdict(console: Console, verdict: Mapping[str, Any]) -> None:
    """The verdict in a sentence, and a line per rule and domain."""
    console.print(Text(verdict["sentence"], style=f"bold {_VERDICTS[verdict['verdict']]}"))
    table = Table(box=None, show_header=False, padding=(0, 1))
    for rule in verdict["rules"]:
        mark, colour = _STATES[rule["state"]]
        reason = Text(rule["reason"], style="dim")
        table.add_row(Text(mark, style=colour), rule["rule"], rule["slice"], reason)
    console.print(table)
