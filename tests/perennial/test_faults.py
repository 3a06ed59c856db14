"""What a person gets wrong ends in one line that names it, and exit status 2."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh clone, as far as asking it something goes."""
    for name in ("params.yaml", "dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache"))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def change(project: Path, how: Change) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    how(params)
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def ask(project: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "DVC_", "PERENNIAL_"))
    }
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=project,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one `error:` line of a command that failed by the person's fault."""
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def ingest(project: Path, domain: str, **environment: str) -> subprocess.CompletedProcess[str]:
    words = ("--domain", domain, "--records", f"records/{domain}", "--report", "report.json")
    return ask(project, "tasks.ingest", *words, **environment)


def test_a_port_in_use(project: Path, tiny_model: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = ("tasks.serve", "--model", str(tiny_model), "--port", port)
        assert port in said(ask(project, *words))


def file_source(path: str) -> dict[str, Any]:
    return {"kind": "file", "path": path, "format": "messages", "licence": "MIT", "limit": None}


def test_a_missing_file_and_an_empty_source(project: Path) -> None:
    change(project, lambda p: p["ingest"]["sources"].update(support=file_source("none.jsonl")))
    assert "none.jsonl" in said(ingest(project, "support"))
    (project / "none.jsonl").touch()
    assert "none.jsonl" in said(ingest(project, "support"))
    assert not (project / "records" / "support" / "dialogues.parquet").exists()


def test_a_full_disk(project: Path, disk: Callable[[int], Path]) -> None:
    folder = disk(1000)
    shutil.copytree(project, folder / "project", ignore=shutil.ignore_patterns(folder.name))
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    assert "its disk is full; make room" in said(ask(folder / "project", "perennial", "run"))


def test_a_registry_out_of_reach(project: Path) -> None:
    line = said(
        ingest(
            project,
            "support",
            XDG_CACHE_HOME=str(project / "cache"),
            PIP_INDEX_URL="http://127.0.0.1:9/simple",
            PIP_CONFIG_FILE=os.devnull,
            PIP_FIND_LINKS="",
            PIP_RETRIES="0",
            PIP_DEFAULT_TIMEOUT="2",
        )
    )
    assert "chatterbot-corpus==1.3.3" in line


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("", "releases.db: the release store cannot be used (file is not a database); see that"),
        ("nonsense", "PERENNIAL_RELEASES_URL: the release store cannot be used (Could not parse"),
        (
            "postgresql://a@127.0.0.1:9/b",
            "PERENNIAL_RELEASES_URL: the release store cannot be used",
        ),
    ],
    ids=["damaged", "misnamed", "without a driver"],
)
def test_a_release_store_that_cannot_be_used(project: Path, url: str, line: str) -> None:
    (project / "releases.db").write_text("no database, but words")
    assert f"error: {line}" in said(ask(project, "perennial", "status", PERENNIAL_RELEASES_URL=url))


def test_a_server_of_mlflow_that_does_not_answer(project: Path) -> None:
    nobody = "http://127.0.0.1:9"
    line = said(ask(project, "perennial", "run", MLFLOW_TRACKING_URI=nobody))
    assert f"MLFLOW_TRACKING_URI: nothing answers at {nobody}" in line
    assert "start `mlflow server`" in line
