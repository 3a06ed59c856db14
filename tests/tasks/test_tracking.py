from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tasks import tracking

VERDICT = {
    "verdict": "PROMOTE",
    "sentence": "PROMOTE: better in all.",
    "candidate": {"digest": "a" * 64, "domain": "support"},
    "metrics": {"support": {"hits_at_1": 0.5, "missing": None}, "chitchat": {"hits_at_1": 0.4}},
}


def runs(project: Path) -> dict[str, Any]:
    """Every run by its name without the time."""
    client, experiment = tracking.open_tracking(project)
    return {run.info.run_name.split(" 2")[0]: run for run in client.search_runs([experiment])}


def test_a_stage_leaves_its_settings_curve_data_and_artefacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "finetune@support")
    (tmp_path / "dvc.lock").write_text("stages: {}\n")
    report = tmp_path / "report.json"
    report.write_text("{}")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.html").write_text("<p>")
    settings = {"training": {"learning_rate": 1e-4, "limit": None}, "members": ["a", "b"]}
    with tracking.stage_run("finetune", settings, tmp_path) as log:
        for step in range(1200):
            log.metrics({"loss": 1 / (step + 1), "tokens_per_second": 100.0}, step=step)
        log.metrics({"perplexity": float("nan")})
        log.params({"precision": "bf16"})
        log.params(tracking.flatten({"domains": {"feedback_*": {"max": 0}}}))
        log.params(
            tracking.flatten({"labels": {"😀": "good", "😢": "bad", "a//b": 1, "x" * 300: 2}})
        )
        log.tags({"model_digest": "b" * 64})
        log.dataset("support/train", "c" * 64, tmp_path / "data", "train")
        log.artifact(report)
        log.artifact(docs)
        time.sleep(tracking.SYSTEM_SECONDS + 1)
    client, experiment = tracking.open_tracking(tmp_path)
    stage, parent = client.search_runs([experiment])
    if "mlflow.parentRunId" not in stage.data.tags:
        stage, parent = parent, stage
    assert stage.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert stage.info.status == parent.info.status == "FINISHED"
    assert stage.data.params == {
        "training.learning_rate": "0.0001",
        "training.limit": "null",
        "members": '["a", "b"]',
        "precision": "bf16",
        "domains.feedback__.max": "0",
        "labels._": "good",
        "labels.__2": "bad",
        "labels.a__b": "1",
        f"labels.{'x' * 233}": "2",
    }
    tags = stage.data.tags
    assert (tags["stage"], tags["domain"]) == ("finetune@support", "support")
    assert len(tags["dvc_lock"]) == 64
    assert any(name.startswith("system/") for name in stage.data.metrics)
    curve = client.get_metric_history(stage.info.run_id, "loss")
    assert [point.step for point in curve] == list(range(1200))
    dataset = stage.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("support/train", "c" * 36)
    assert json.loads(dataset.source) == {"uri": "data", "digest": "c" * 64}
    artefacts = {file.path for file in client.list_artifacts(stage.info.run_id)}
    assert artefacts == {"report.json", "docs"}
    assert tracking.find_run(tmp_path, {"model_digest": "b" * 64}) == stage.info.run_id


def test_a_plain_mlflow_at_the_root_finds_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracking.stage_run("ingest", {}, tmp_path):
        pass
    monkeypatch.chdir(tmp_path)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    assert len(client.search_runs([experiment.experiment_id])) == 2
    assert experiment.artifact_location.startswith((tmp_path / "mlruns").as_uri())


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no rows"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_stage_that_breaks_off_says_so(tmp_path: Path, error: BaseException, status: str) -> None:
    def broken() -> None:
        with tracking.stage_run("ingest", {}, tmp_path) as log:
            log.metrics({"rows": 3.0})
            raise error

    with pytest.raises(type(error)):
        broken()
    client, experiment = tracking.open_tracking(tmp_path)
    found = client.search_runs([experiment])
    assert [run.info.status for run in found] == [status, status]
    stage = next(run for run in found if "mlflow.parentRunId" in run.data.tags)
    assert "rows" in stage.data.metrics
    note = stage.data.tags.get("mlflow.note.content")
    assert note == ("ValueError: no rows" if status == "FAILED" else None)


def test_a_fault_is_told_though_its_end_cannot_be_written(tmp_path: Path) -> None:
    def broken() -> None:
        with tracking.stage_run("ingest", {}, tmp_path):
            database = tmp_path / tracking.DATABASE
            with contextlib.closing(sqlite3.connect(database)) as connection:
                connection.execute("DROP TABLE tags")
            raise OSError("model.safetensors: cannot be written; make room")

    with pytest.raises(OSError, match="make room"):
        broken()


def test_a_pipeline_holds_its_stages_and_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tracking.start_pipeline(tmp_path, "train")
    monkeypatch.setenv(tracking.PIPELINE_VARIABLE, key)
    for stage in ("ingest", "gate"):
        with tracking.stage_run(stage, {}, tmp_path):
            pass
    assert runs(tmp_path)["train"].info.status == "RUNNING"
    run_id = tracking.finish_pipeline(tmp_path, key, "FINISHED", VERDICT)
    found = runs(tmp_path)
    assert len(found) == 3
    for stage in ("ingest", "gate"):
        assert found[stage].data.tags["mlflow.parentRunId"] == run_id
    parent = found["train"]
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {"support/hits_at_1": 0.5, "chitchat/hits_at_1": 0.4}
    assert parent.data.tags["verdict"] == "PROMOTE"
    assert parent.data.tags["mlflow.note.content"] == "PROMOTE: better in all."


def test_an_unknown_pipeline_cannot_be_finished(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pipeline `nowhere`"):
        tracking.finish_pipeline(tmp_path, "nowhere", "FINISHED")


def test_the_stages_of_one_dvc_share_one_parent_though_they_start_at_once(tmp_path: Path) -> None:
    """A script by the name of dvc stands for it; what matters is the process above the stages."""
    stage = tmp_path / "stage.py"
    stage.write_text(
        "import sys; from pathlib import Path; from tasks import tracking\n"
        "with tracking.stage_run(sys.argv[1], {'a': 1}, Path(sys.argv[2])) as log:\n"
        "    log.metrics({'loss': 1.0}, step=0)\n"
    )
    script = tmp_path / "dvc"
    start = [f"{sys.executable} {stage} {name} {tmp_path} &" for name in ("one", "two")]
    script.write_text("\n".join([*start, "wait"]))
    environment = os.environ | {"PYTHONPATH": str(Path(tracking.__file__).parents[1])}
    subprocess.run(["sh", str(script)], check=True, env=environment)
    found = runs(tmp_path)
    assert {name: run.info.status for name, run in found.items()} == dict.fromkeys(
        ("dvc repro", "one", "two"), "FINISHED"
    )
    parent = found["dvc repro"].info.run_id
    assert {found[name].data.tags["mlflow.parentRunId"] for name in ("one", "two")} == {parent}
    with contextlib.closing(sqlite3.connect(tmp_path / tracking.DATABASE)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def be_killed(project: Path) -> None:
    os.environ[tracking.PIPELINE_VARIABLE] = tracking.start_pipeline(project, "killed")
    with tracking.stage_run("ingest", {}, project):
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_pipeline_left_running_is_closed(tmp_path: Path) -> None:
    victim = multiprocessing.get_context("spawn").Process(target=be_killed, args=(tmp_path,))
    victim.start()
    victim.join(120)
    assert victim.exitcode == -signal.SIGKILL
    assert {run.info.status for run in runs(tmp_path).values()} == {"RUNNING"}
    tracking.start_pipeline(tmp_path, "next")
    statuses = {name: run.info.status for name, run in runs(tmp_path).items()}
    assert statuses == {"killed": "KILLED", "ingest": "KILLED", "next": "RUNNING"}
