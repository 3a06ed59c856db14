from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dialogue.config import Params
from dialogue.log import SilentLog
from tasks._step import _reporting
from tasks.tracking import RunLog

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("rank", "kind"), [("0", RunLog), ("1", SilentLog)])
def test_of_several_processes_the_first_reports(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str, kind: type
) -> None:
    monkeypatch.setenv("RANK", rank)
    with _reporting(params, "gate", tmp_path) as log:
        assert isinstance(log, kind)
    assert (tmp_path / "mlflow.db").exists() == (rank == "0")


@pytest.mark.parametrize(
    ("act", "status", "said"),
    [
        ("np.zeros(2) + np.zeros(3)", 1, "could not be broadcast"),
        ("read_verdict(Path('nowhere.json'))", 2, "error: nowhere.json: "),
    ],
    ids=["the program's fault", "a person's"],
)
def test_whose_fault_it_was(tmp_path: Path, act: str, status: int, said: str) -> None:
    done = step(tmp_path, act, rank=1)
    assert done.returncode == status
    assert said in done.stderr
    assert ("Traceback" in done.stderr) == (status == 1)


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database, but words")
    done = step(tmp_path, "pass", rank=0)
    assert done.returncode == 2
    assert "error: mlflow.db: MLflow cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def step(project: Path, act: str, rank: int) -> subprocess.CompletedProcess[str]:
    """A step of its own process that does only this."""
    shutil.copy(ROOT / "params.yaml", project)
    script = (
        "from pathlib import Path; import numpy as np\n"
        "from tasks import _step; from tasks._verdict import read_verdict\n"
        f"def gate(params, log): {act}\n"
        "_step.run(gate)"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RANK": str(rank)},
        capture_output=True,
        text=True,
        check=False,
    )
