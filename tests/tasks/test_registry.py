"""MLflow's registry behind a real server, with its artefacts out of reach but for the server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest

from dialogue.config import Params
from dialogue.manifest import verify_manifest
from tasks import registry, releases
from tasks.promote import Refused, promote, reconcile, rollback
from tasks.register import register
from tasks.serve import to_be_served

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")

NAME = "perennial"


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """What `mlflow server` runs, without its command line, which takes as long again to start."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    settings = {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder / 'mlflow.db'}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "--port", port, "mlflow.server.fastapi_app:app"],
            cwd=folder,
            env=os.environ | settings,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 180
        while not _answers(url):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(60)


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", trust_env=False).is_success
    return False


def test_a_long_card_is_cut_at_a_line_where_databases_end() -> None:
    card = "".join(f"line {number}\n" for number in range(1000))
    shown = registry._description(card)
    assert len(shown) <= 5000
    kept, _, more = shown.partition("\n\n")
    assert card.startswith(kept + "\n")
    assert more == "More in README.md among the files.\n"
    assert registry._description(card[:5000]) == card[:5000]


def test_a_server_keeps_what_is_registered_judged_again_and_promoted(
    project: Any, params: Params, answers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def promoted() -> bool:
        done = promote(params, project.path, digest=files.digest, smoke=answers, actor="ana")
        return done.changed

    with mlflow_server(tmp_path / "server") as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        files = project.candidate(1, decision="REJECT")
        made = register(params, project.path, **files.paths)
        assert made.created
        assert verify_manifest(made.release.folder) == files.digest
        with pytest.raises(Refused, match="v1: REJECT"):
            promoted()

        project.judge(files, champion=None, decision="PROMOTE")
        again = register(params, project.path, **files.paths)
        assert again.release.folder == made.release.folder
        stored = again.release.folder.parent
        assert json.loads((stored / "verdict.json").read_text()) == again.release.verdict
        assert "PROMOTE" in (stored / "README.md").read_text()

        # Another machine judged it since: what lies here is out of date.
        (stored / "verdict.json").write_text("{}")
        assert not register(params, project.path, **files.paths).created
        assert promoted()
        assert reconcile(params, project.path, smoke=answers).outcome == "in step"

        # Another machine has the release store, and no files yet.
        shutil.rmtree(project.path / "mlruns" / "fetched")
        served = to_be_served(params, project=project.path, model_folder=None)
        assert verify_manifest(served.folder) == files.digest
        shutil.rmtree(project.path / "mlruns" / "fetched")
        second = project.candidate(2, champion=files.digest)
        register(params, project.path, **second.paths)
        assert promote(
            params, project.path, digest=second.digest, smoke=answers, actor="ana"
        ).changed
        shutil.rmtree(project.path / "mlruns" / "fetched")
        back = rollback(params, project.path, smoke=answers, actor="ana", reason="it swears")
        assert verify_manifest(back.release.folder) == files.digest
        marked = registry.alias(project.path, NAME)
        champion = releases.champion(releases.open_store(project.path))
        assert marked is not None
        assert champion is not None
        assert marked.digest == champion.digest == files.digest
    assert not (project.path / "mlflow.db").exists()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert mlflow.get_tracking_uri() != url, "the surroundings' server is not kept beyond them"
