"""What is stale: what DVC says, and the sources whose files changed, which it cannot see."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dialogue.config import FileSource, Params, Source
from dialogue.sources import raw_files, title
from tasks.graph import Graph, read_graph


def current_graph(project: Path, params: Params) -> Graph:
    """The graph, with every stage that read a file which is another one now as stale.

    A file of the user's is no dependency that dvc.yaml could name, for its path is a setting; what
    `ingest` and `gather` noted of it is. For the same reason DVC's run cache would give back what
    was once made of another file under the same settings: a stage that reads files and is stale to
    DVC itself is told to run.

    Raises:
        ValueError: as for `read_graph`.
    """
    graph = read_graph(project)
    read: dict[str, tuple[Source, ...]] = {
        f"ingest@{domain}": (source,) for domain, source in params.ingest.sources.items()
    }
    read["gather"] = params.gather.sources
    changed = [
        stage
        for stage, sources in read.items()
        if stage in graph.parents
        and any(isinstance(source, FileSource) for source in sources)
        and (
            stage in graph.stale
            or sources_changed(sources, project / graph.output(stage, "*.json"))
        )
    ]
    return graph.forcing(changed)


def sources_changed(sources: Sequence[Source], report: Path) -> bool:
    """Whether the files among the sources differ from those that are reported.

    Packages and hub datasets are pinned and never do. Where the stage has not run, DVC knows that.
    A file that cannot be had differs: the stage is to run, and to name the fault.
    """
    files = [source for source in sources if isinstance(source, FileSource)]
    if not files:
        return False
    pinned = {title(source) for source in sources if not isinstance(source, FileSource)}
    try:
        noted = json.loads(report.read_text(encoding="utf-8"))["files"]
        before = {
            (each["name"], each["sha256"]) for each in noted if each.get("source") not in pinned
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    try:
        now = {(raw.name, raw.digest) for source in files for raw in raw_files(source)}
    except (OSError, ValueError):
        return True
    return now != before
