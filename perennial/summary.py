"""What a run came to, for people: what ran, what it is worth, and who is champion now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dialogue.scores import collect, read_scores, values_of
from flows import rounds
from perennial.verdict import print_verdict
from tasks import releases
from tasks.graph import Graph, read_graph

_PERPLEXITY = "response_perplexity"
_OUTCOMES = {
    "promoted": "is the new champion",
    "reigns": "is champion",
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
    console.print(_perplexities(verdict, _base(project, read_graph(project), verdict)))
    print_verdict(console, verdict)
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


def _base(project: Path, graph: Graph, verdict: Mapping[str, Any]) -> dict[str, float]:
    """The base model's response perplexity by domain, on the dialogues of the verdict."""
    folder = graph.output(f"evaluate@{verdict['candidate']['domain']}", "scores/*")
    scores = [
        score
        for score in read_scores(project / folder / rounds.EVIDENCE)
        if score.model_role == "base" and score.metric == _PERPLEXITY
    ]
    return {
        domain: metrics[_PERPLEXITY]
        for domain, metrics in values_of(collect(scores), "base").items()
    }


def _perplexities(verdict: Mapping[str, Any], base: Mapping[str, float]) -> Table:
    intervals = {
        rule["slice"]: rule["interval"]
        for rule in verdict["rules"]
        if rule["metric"] == _PERPLEXITY and rule["interval"]
    }
    table = Table(title="Response perplexity on held-out dialogues", title_justify="left", box=None)
    for heading in ("domain", "base", "candidate", "interval"):
        table.add_column(heading, justify="left" if heading == "domain" else "right")
    for domain, metrics in verdict["metrics"].items():
        if _PERPLEXITY not in metrics:
            continue
        interval = intervals.get(domain)
        table.add_row(
            domain,
            f"{base[domain]:.1f}" if domain in base else "–",
            f"{metrics[_PERPLEXITY]:.1f}",
            f"{interval[0]:.1f} … {interval[1]:.1f}" if interval else "–",
        )
    return table


def _print_release(console: Console, project: Path, release: Mapping[str, Any]) -> None:
    new = " (new)" if release["created"] else ""
    outcome = _OUTCOMES[release["outcome"]]
    console.print(f"v{release['version']}{new} {outcome}.", style="bold")
    if release["reason"] and release["outcome"] in ("waits", "refused"):
        console.print(release["reason"])
    if "alias" in release:
        console.print(f"The alias in MLflow had been moved by hand; {release['alias']}.")
    champion = releases.champion(releases.open_store(project))
    if champion is None:
        console.print("There is no champion yet.")
        return
    if champion.version != release["version"]:
        console.print(f"{champion.name} is champion.")
    console.print("Talk to it: [bold]perennial chat[/bold]")


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
