"""One Prefect server for all flow tests, and throw-away projects for DVC."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.prefect_server import prefect_server

MakeProject = Callable[[str], Path]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A real Prefect server with a database of its own."""
    home = tmp_path_factory.mktemp("prefect")
    before = os.environ.get("PREFECT_API_URL"), os.environ.get("PREFECT_HOME")
    os.environ.pop("PREFECT_API_URL", None)
    os.environ["PREFECT_HOME"] = str(home)
    with prefect_server(home):
        yield
    for name, value in zip(("PREFECT_API_URL", "PREFECT_HOME"), before, strict=True):
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


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
