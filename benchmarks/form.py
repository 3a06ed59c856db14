"""The one form of every benchmark: a table, the machine, and one JSON object as the last line."""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from rich.console import Console
from rich.table import Table

from dialogue.machine import describe_machine
from dialogue.model import choose_device, choose_precision

Bound = tuple[Literal["min", "max"], float]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured, on both sides, and what that makes."""

    what: str
    ours: str
    peer: str
    ratio: str


def quick_wanted(description: str) -> bool:
    """Whether the command line asks for a smoke run: small sizes, bounds shown but not held."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: sizes too small to judge"
    )
    return bool(parser.parse_args().quick)


def alternate(
    sides: Mapping[str, Callable[[], object]], rounds: int, *, uncounted: int = 1
) -> dict[str, list[float]]:
    """Seconds of each side, in turn (A B A B …), after so many rounds that are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(uncounted + rounds):
        for name, call in sides.items():
            began = time.perf_counter()
            call()
            if number >= uncounted:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def paired_ratio(peer: Sequence[float], ours: Sequence[float]) -> float:
    """How many times as fast ours is: the median of the ratios, pair by pair."""
    return statistics.median(p / o for p, o in zip(peer, ours, strict=True))


def report(
    name: str,
    rows: Sequence[Row],
    figures: Mapping[str, float],
    bounds: Mapping[str, Bound],
    *,
    quick: bool,
) -> int:
    """Show the table and the machine, and print the JSON line; returns the exit status.

    Status 1 means that a bound was missed, as it is by a figure that is no number. A quick run is
    too small to judge and misses none.
    """
    console = Console(highlight=False)
    table = Table("", "this", "peer", "ratio", box=None)
    for row in rows:
        table.add_row(row.what, row.ours, row.peer, row.ratio)
    console.print(table)
    console.print(_machine(), style="dim", soft_wrap=True)
    missed = {} if quick else {n: b for n, b in bounds.items() if not _holds(figures[n], b)}
    for figure, (side, bound) in missed.items():
        console.print(f"missed: {figure} is {figures[figure]:.3g}, {side} {bound}", style="red")
    result = {
        "benchmark": name,
        # JSON knows no NaN.
        "figures": {n: round(v, 4) if math.isfinite(v) else None for n, v in figures.items()},
        "bounds": {figure: list(bound) for figure, bound in bounds.items()},
        "ok": not missed,
    }
    print(json.dumps(result))
    return 1 if missed else 0


def _holds(value: float, bound: Bound) -> bool:
    side, limit = bound
    return value >= limit if side == "min" else value <= limit


def _machine() -> str:
    return (
        f"{describe_machine(choose_device())}, Python {platform.python_version()}, "
        f"{torch.get_num_threads()} threads, {choose_precision('auto')}"
    )
