"""The flow against `dvc repro` alone: the same graph, whose independent stages the flow overlaps.

A throw-away project of three ingests that only wait, for 5 and for 20 seconds, and one stage that
reads all three. The whole commands are timed: a flow first has to import Prefect and to report to
its server, which is running already, as it is for scheduled deployments.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.form import Bound, Row, alternate, paired_ratio, quick_wanted, report
from flows.prefect_server import prefect_server
from tasks._environment import quiet_environment

BOUNDS: dict[str, Bound] = {
    "flow_vs_dvc_repro_20s": ("min", 1.5),
    "flow_unchanged_seconds": ("max", 15.0),
}
_STAGES = """
stages:
  ingest:
    foreach: [chitchat, support, assistant]
    do:
      cmd: sleep {seconds} && echo ${{item}} > ${{item}}.txt
      outs: ["${{item}}.txt"]
  merge:
    cmd: cat chitchat.txt support.txt assistant.txt > all.txt
    deps: [chitchat.txt, support.txt, assistant.txt]
    outs: [all.txt]
"""
_FLOW = """
from pathlib import Path
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner
from flows.stages import run_stages
from tasks.graph import read_graph
from tasks.processes import Processes

@flow(name="benchmark", task_runner=ThreadPoolTaskRunner(max_workers=4))
def run():
    run_stages(read_graph(Path.cwd()), Processes(Path.cwd(), False))

run()
"""


def main() -> int:
    """Run both sides in turn, each time from nothing."""
    quick = quick_wanted(__doc__ or "")
    rows: list[Row] = []
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        quiet_environment(project)
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        (project / "params.yaml").write_text("{}\n")
        _write_stages(project, 1)
        _call(project, ["git", "init", "-q"])
        _call(project, ["dvc", "init", "-q"])
        flow = [sys.executable, "-c", _FLOW]
        sides = {
            "ours": lambda: _anew(project, flow),
            "peer": lambda: _anew(project, ["dvc", "repro", "-q"]),
        }
        with prefect_server(project):
            for wait in (5, 20):
                _write_stages(project, 1 if quick else wait)
                seconds = alternate(sides, rounds=1 if quick else 3)
                ours, peer = (statistics.median(seconds[side]) for side in ("ours", "peer"))
                ratio = paired_ratio(seconds["peer"], seconds["ours"])
                what = f"three ingests of {wait} s and a merge"
                rows.append(Row(what, f"{ours:.1f} s", f"{peer:.1f} s", f"{ratio:.2f}×"))
                figures[f"flow_vs_dvc_repro_{wait}s"] = ratio
            _anew(project, flow)
            unchanged = alternate({"ours": lambda: _call(project, flow)}, rounds=3)["ours"]
    figures["flow_unchanged_seconds"] = statistics.median(unchanged)
    rows.append(Row("nothing stale", f"{figures['flow_unchanged_seconds']:.1f} s", "", ""))
    return report("orchestration", rows, figures, BOUNDS, quick=quick)


def _write_stages(project: Path, seconds: int) -> None:
    (project / "dvc.yaml").write_text(_STAGES.format(seconds=seconds))


def _anew(project: Path, command: list[str]) -> None:
    for name in ("chitchat", "support", "assistant", "all"):
        (project / f"{name}.txt").unlink(missing_ok=True)
    (project / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(project / ".dvc" / "cache", ignore_errors=True)
    _call(project, command)


def _call(project: Path, command: list[str]) -> None:
    subprocess.run(command, cwd=project, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
