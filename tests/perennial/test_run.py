from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dialogue.config import load_params
from perennial import run

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


@pytest.mark.parametrize(
    "ended",
    [
        {"round": None, "outcome": "busy", "reason": "PID 1 runs a stage"},
        {
            "stages": [],
            "verdict": {},
            "release": {"outcome": "busy", "reason": "PID 1 runs a stage"},
        },
    ],
    ids=["before the round", "before the release"],
)
def test_where_another_run_is_going_on_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: dict[str, Any]
) -> None:
    monkeypatch.setattr(run, "enter_project", lambda: (tmp_path, PARAMS))
    monkeypatch.setattr("perennial.profile.check_profile", lambda *_: None)
    monkeypatch.setattr(run, "_run_flows", lambda *_: ended)
    with pytest.raises(ValueError, match="PID 1 runs a stage"):
        run.run_command(feedback=True)
