"""What a run came to, for people: what ran, what it is worth, and who is champion now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from perennial.verdict import print_verdict
from tasks import releases
from tasks.graph import read_graph

_PERPLEXITY = "response_perplexity"
_OUTCOMES = {
    "promoted": "is the new champion",
    "reigns": "is champion",
    "replaced": "is champion no longer",
    "waits": "waits for your approval",
    "refused": "was not promoted",
}


def print_summary(
    console: Console, project: Path, ended: Mapping[str, Any], seconds: float
) -> None:
    """Print the end of a run.

    Args:
        console: where to.
        project: the project's root.
        ended: what `train` returned, and under `release` what `release` did.
        seconds: how long the whole run took.
    """
    verdict, release = ended["verdict"], ended["release"]
    console.print()
    _print_stages(console, ended["stages"], seconds)
    console.print("\nResponse perplexity on held-out dialogues, with its confidence interval")
    domain = verdict["candidate"]["domain"]
    graph = read_graph(project)
    report = graph.output(f"evaluate@{domain}", "*.json")
    console.print(_perplexities(project / report))
    console.print()
    print_verdict(console, verdict)
    console.print(f"Report card: {graph.output('report', '*.html')}")
    console.print()
    _print_release(console, project, release)


def _print_stages(console: Console, stages: list[Mapping[str, Any]], seconds: float) -> None:
    count = Counter(stage["outcome"] for stage in stages)
    ran = sorted(
        (stage for stage in stages if stage["outcome"] != "unchanged"),
        key=lambda stage: -float(stage["seconds"]),
    )
    if not ran:
        console.print(f"Nothing was stale: all {len(stages)} stages are unchanged.")
        return
    parts = [f"{count['ran']} stages ran"]
    parts += [f"{count['restored']} came from DVC's cache"] * bool(count["restored"])
    parts += [f"{count['unchanged']} were unchanged"] * bool(count["unchanged"])
    console.print(f"{', '.join(parts)}; {_clock(seconds)} in all.", style="bold")
    table = Table(box=None, show_header=False, padding=(0, 1))
    for stage in ran:
        note = "from the cache" if stage["outcome"] == "restored" else ""
        table.add_row(stage["stage"], f"{stage['seconds']:.1f} s", note)
    console.print(table)


def _perplexities(report: Path) -> Table:
    """The base model's and the candidate's by domain, from the report of the evaluation."""
    table = Table(box=None)
    for heading in ("domain", "base", "candidate", "interval"):
        table.add_column(heading, justify="left" if heading == "domain" else "right")
    for domain, metrics in json.loads(report.read_text(encoding="utf-8"))["metrics"].items():
        measured = metrics.get(_PERPLEXITY, {})
        if "candidate" not in measured:
            continue
        ours, base = measured["candidate"], measured.get("base")
        table.add_row(
            domain,
            f"{base['value']:.1f}" if base else "–",
            f"{ours['value']:.1f}",
            f"{ours['low']:.1f} … {ours['high']:.1f}",
        )
    return table


def _print_release(console: Console, project: Path, release: Mapping[str, Any]) -> None:
    new = " (new)" if release["created"] else ""
    outcome = _OUTCOMES[release["outcome"]]
    console.print(f"v{release['version']}{new} {outcome}.", style="bold")
    if release["reason"] and release["outcome"] in ("waits", "refused"):
        console.print(release["reason"], markup=False)
    if release.get("alias"):
        moved = f"The alias in MLflow had been moved by hand; {release['alias']}."
        console.print(moved, markup=False)
    champion = releases.champion(releases.open_store(project))
    if champion is None:
        console.print("There is no champion yet.")
        return
    if champion.version != release["version"]:
        console.print(f"{champion.name} is champion.")
    console.print("Talk to it: [bold]perennial chat[/bold]")


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
