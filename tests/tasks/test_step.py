from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.config import Params
from dialogue.log import SilentLog
from tasks._step import _reporting
from tasks.tracking import RunLog


@pytest.mark.parametrize(("rank", "kind"), [("0", RunLog), ("1", SilentLog)])
def test_of_several_processes_the_first_reports(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str, kind: type
) -> None:
    monkeypatch.setenv("RANK", rank)
    with _reporting(params, "gate", tmp_path) as log:
        assert isinstance(log, kind)
    assert (tmp_path / "mlflow.db").exists() == (rank == "0")
