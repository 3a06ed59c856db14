"""Throw-away projects for DVC."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MakeProject = Callable[[str], Path]


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProject:
    """Make a git repository with DVC and this dvc.yaml, and stand in it."""

    def make(stages: str) -> Path:
        (tmp_path / "dvc.yaml").write_text(stages)
        (tmp_path / "params.yaml").write_text("sources: [chitchat, support, assistant]\n")
        for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
            subprocess.run(command, cwd=tmp_path, check=True)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make
