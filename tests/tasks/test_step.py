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
    shutil.copy(ROOT / "params.yaml", tmp_path)
    script = (
        "from pathlib import Path; import numpy as np\n"
        "from tasks import _step; from tasks._verdict import read_verdict\n"
        f"def gate(params, log): {act}\n"
        "_step.run(gate)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RANK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert said in done.stderr
    assert ("Traceback" in done.stderr) == (status == 1)
