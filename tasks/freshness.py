"""What is stale: what DVC says, and the sources whose files changed, which it cannot see."""

from __future__ import annotations

import json
from pathlib import Path

from dialogue.config import FileSource, Params, Source
from dialogue.sources import raw_files
from tasks.graph import Graph, read_graph


def current_graph(project: Path, params: Params) -> Graph:
    """The graph, with the ingest of every file that is another one than when it ran as stale.

    A file of the user's is no dependency that dvc.yaml could name, for its path is a setting; what
    ingest noted of it is.

    Raises:
        ValueError: as for `read_graph`.
    """
    graph = read_graph(project)
    changed = [
        stage
        for domain, source in params.ingest.sources.items()
        if (stage := f"ingest@{domain}") in graph.parents
        and source_changed(source, project / graph.output(stage, "*.json"))
    ]
    return graph.forcing(changed)


def source_changed(source: Source, report: Path) -> bool:
    """Whether a file source differs from the one that ingest reported on.

    Packages and hub datasets are pinned and never do. Where ingest has not run, or the source
    cannot be had, it is for ingest to run or to say so.
    """
    if not isinstance(source, FileSource):
        return False
    try:
        noted = json.loads(report.read_text(encoding="utf-8"))["files"]
        before = [(each["name"], each["sha256"]) for each in noted]
        now = [(raw.name, raw.digest) for raw in raw_files(source)]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return before != now
