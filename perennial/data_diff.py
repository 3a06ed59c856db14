"""`perennial data diff`: what became of a domain's dialogues between two versions."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perennial.project import enter_project
from perennial.terminal import cleaned, open_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COUNTED = ("before", "after", "added", "removed", "changed", "same")
"""The columns of a comparison's table."""

_REPORTS = Path("reports", "data")
_SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def diff_command(
    domain: Annotated[str, typer.Argument(help="a domain that `perennial data` lists")],
    before: Annotated[
        str, typer.Argument(metavar="A", help="a commit, tag, branch or version's digest")
    ] = "HEAD",
    after: Annotated[
        str, typer.Argument(metavar="B", help="as A, or `workspace`: what lies in the folder")
    ] = "workspace",
    examples: Annotated[
        int, typer.Option(min=0, max=100, help="how many dialogues of each kind are shown")
    ] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, for scripts")] = False,
) -> None:
    """Compare two versions of a domain: dialogues added, removed, changed or moved, and drift.

    Versions are read from DVC's cache; the data in the workspace stays as it is.

    A page with plots goes to reports/data, which git ignores, for it quotes dialogues.
    """
    from tasks.data_diff import compare_versions

    project, _ = enter_project()
    summary = compare_versions(project, domain, before, after, examples)
    page = None
    if summary["differs"]:
        from perennial.diff_page import write_page

        names = f"{summary['before']['name']}-{summary['after']['name']}"
        page = write_page(project / _REPORTS / domain / names, summary)
        summary["page"] = str(page.relative_to(project))
    if as_json:
        sys.stdout.write(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    else:
        print_summary(open_console(), summary)


def print_summary(console: Console, summary: Mapping[str, Any]) -> None:
    """Print a comparison as `tasks.data_diff.compare_versions` returns it."""
    before, after = summary["before"], summary["after"]
    console.print(f"[bold]{summary['domain']}[/bold]  {_named(before)} → {_named(after)}")
    if not summary["differs"]:
        console.print("  Nothing differs.")
        return
    console.print(_table(summary))
    for move in summary["moved"]:
        console.print(
            f"  {move['dialogues']:,} moved from {move['from']} to {move['to']}",
            style="red" if move["from"] == "test" else "yellow",
        )
    console.print()
    for line in drift_lines(summary["drift"]):
        console.print(f"  {cleaned(line)}", markup=False)
    for kind in _SIGNS:
        _print_examples(console, summary, kind)
    if "page" in summary:
        console.print(f"\nPlots and examples: {summary['page']}", markup=False)


def drift_lines(drift: Mapping[str, Any]) -> list[str]:
    """Lengths and vocabulary in words."""
    lines = []
    for name, unit in (("turns", "turns"), ("characters", "characters")):
        old, new = drift[name]["before"], drift[name]["after"]
        lines.append(
            f"{unit} of a dialogue: median {old[50]:,.0f} → {new[50]:,.0f}, "
            f"95 % at most {old[95]:,.0f} → {new[95]:,.0f}"
        )
    lines.append(
        f"drift of lengths {drift['length_drift']:.3f}, of the vocabulary "
        f"{drift['vocabulary_drift']:.3f} (0 alike, 1 nothing in common)"
    )
    for name, label in (("more", "more often now"), ("less", "less often now")):
        if words := [word["word"] for word in drift[name][:8]]:
            lines.append(f"{label}: {', '.join(words)}")
    return lines


def _named(side: Mapping[str, Any]) -> str:
    digest = f" ({side['digest'][:8]})" if side["digest"] else ""
    return f"{side['name']}{digest}"


def counts_by_split(summary: Mapping[str, Any]) -> list[tuple[str, list[int]]]:
    """A row per split and one for all: dialogues in the order of `COUNTED`."""
    columns: list[Mapping[str, int]] = [
        summary[name]["dialogues"] if name in ("before", "after") else summary[name]
        for name in COUNTED
    ]
    rows = [(split, [column[split] for column in columns]) for split in columns[0]]
    return [*rows, ("all", [sum(column.values()) for column in columns])]


def _table(summary: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1))
    for heading in ("", *COUNTED):
        table.add_column(heading, justify="right" if heading else "left")
    for split, counts in counts_by_split(summary):
        style = "bold" if split == "all" else ""
        table.add_row(split, *(f"{count:,}" for count in counts), style=style)
    return table


def _print_examples(console: Console, summary: Mapping[str, Any], kind: str) -> None:
    from rich.text import Text

    examples: Sequence[Mapping[str, Any]] = summary["examples"][kind]
    total = sum(summary[kind].values())
    if not examples:
        return
    sign, style = _SIGNS[kind]
    console.print(f"\n[bold]{kind}[/bold], {len(examples)} of {total:,}")
    for example in examples:
        console.print(Text(f"{sign} {cleaned(example['origin'])}  {example['split']}", style=style))
        for line in example["lines"]:
            said = cleaned(" ".join(line["text"].split()))
            text = Text(
                f"    {line['sign']} {line['role']:<9} {said}", no_wrap=True, overflow="ellipsis"
            )
            console.print(text)
