"""The door of MLflow's tracking: one run per executed stage, under one parent per pipeline."""

from __future__ import annotations

import contextlib
import datetime
import functools
import importlib
import json
import os
import re
import socket
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import filelock
import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from dialogue.log import Value
from tasks._origin import dvc_process, git_commit, is_alive, lock_digest, process_key, user

EXPERIMENT = "perennial"
DATABASE = "mlflow.db"
ARTIFACTS = "mlruns"
PIPELINE_VARIABLE = "PERENNIAL_PIPELINE"
UI = "http://127.0.0.1:5000"
"""Where `make ui` opens MLflow."""

_PIPELINE_TAG = "perennial.pipeline"
_PROCESS_TAG = "perennial.process"
SYSTEM_SECONDS = 2.0
_FLUSH_SECONDS = 5.0
_FLUSH_METRICS = 500
_MAX_BATCH = 100  # params and tags that MLflow takes in one call
_MAX_KEY = 240
_MAX_VALUE = 6000  # characters of a param's value in MLflow's database
MAX_DIGEST = 36  # characters of a dataset's digest there; the whole one goes into its source

Fault = MlflowException
"""What the tracking store raises where it cannot be reached or written."""

Status = Literal["FINISHED", "FAILED", "KILLED"]


class RunLog:
    """A `dialogue.log.Log` that writes to one MLflow run, metrics in batches."""

    def __init__(self, client: Any, run_id: str, project: Path) -> None:
        self.run_id = run_id
        self._client = client
        self._project = project
        self._metrics: list[Metric] = []
        self._flushed = time.monotonic()

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Figures, or one point of a curve where `step` is given; sent a few seconds later."""
        now = int(time.time() * 1000)
        self._metrics += [
            Metric(key, float(value), now, step or 0) for key, value in values.items()
        ]
        late = time.monotonic() - self._flushed > _FLUSH_SECONDS
        if late or len(self._metrics) >= _FLUSH_METRICS:
            self.flush()

    def params(self, values: Mapping[str, Value]) -> None:
        """Settings; a setting keeps its first value in MLflow, a second one is refused."""
        texts = map(_text, values.values())
        entries = [Param(key, text) for key, text in zip(_keys(values), texts, strict=True)]
        for batch in _batches(entries):
            self._client.log_batch(self.run_id, params=batch)

    def tags(self, values: Mapping[str, str]) -> None:
        """Labels to search by."""
        entries = [RunTag(key, value) for key, value in values.items()]
        for batch in _batches(entries):
            self._client.log_batch(self.run_id, tags=batch)

    def dataset(self, name: str, digest: str, path: Path, context: str) -> None:
        """A dataset by digest; `context` says what it is used for: training, evaluation, …."""
        where = _relative(path, self._project)
        dataset = Dataset(
            name=name,
            digest=digest[:MAX_DIGEST],
            source_type="local",
            source=json.dumps({"uri": where, "digest": digest}),
        )
        tag = InputTag("mlflow.data.context", context)
        self._client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, [tag])])

    def artifact(self, path: Path) -> None:
        """A file, or a folder under its own name."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), artifact_path=path.name)
        else:
            self._client.log_artifact(self.run_id, str(path))

    def flush(self) -> None:
        """Send the metrics that wait."""
        if self._metrics:
            self._client.log_batch(self.run_id, metrics=self._metrics)
            self._metrics = []
        self._flushed = time.monotonic()


@contextlib.contextmanager
def stage_run(stage: str, params: Mapping[str, object], project: Path) -> Iterator[RunLog]:
    """One MLflow run for a stage's execution, nested under its pipeline's.

    Args:
        stage: the step's name; DVC's name of the stage (`ingest@chitchat`) takes its place.
        params: the step's section of params.yaml, nested as it is.
        project: the project's root.

    Yields:
        Where the stage reports to. The run ends as FINISHED, as KILLED on an interruption, and
        as FAILED, with the fault in its description, on any other exception.
    """
    name = os.environ.get("DVC_STAGE") or stage
    client, experiment = open_tracking(project)
    parent, owned = _parent(client, experiment, project, name)
    tags = _tags(project, f"tasks.{stage}") | {"mlflow.parentRunId": parent, "stage": name}
    if "@" in name:
        tags["domain"] = name.split("@", 1)[1]
    run_id = client.create_run(experiment, tags=tags, run_name=name).info.run_id
    log = RunLog(client, run_id, project)
    monitor = SystemMetricsMonitor(run_id, SYSTEM_SECONDS, tracking_uri=tracking_uri(project))
    monitor.start()

    def end(status: Status) -> None:
        monitor.finish()
        log.flush()
        client.set_terminated(run_id, status)
        if not owned:
            client.set_terminated(parent, status)

    try:
        log.params(flatten(params))
        yield log
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        # Told is what broke it, not that its end could not be written: a later run closes it.
        with contextlib.suppress(Fault):
            if not interrupted:
                log.tags({"mlflow.note.content": f"{type(error).__name__}: {error}"[:_MAX_VALUE]})
            end("KILLED" if interrupted else "FAILED")
        raise
    end("FINISHED")


def start_pipeline(project: Path, name: str) -> str:
    """Make a pipeline's parent run; returns the key that stages find it by.

    Set PERENNIAL_PIPELINE to the key in the environment of every stage, and end the pipeline with
    `finish_pipeline`. Runs that a killed pipeline left RUNNING are closed on this occasion.
    """
    client, experiment = open_tracking(project)
    key = uuid.uuid4().hex
    with _lock(project):
        _create_parent(client, experiment, project, key, name)
    return key


def finish_pipeline(
    project: Path, key: str, status: Status, verdict: Mapping[str, Any] | None = None
) -> str:
    """End a pipeline's run, with the verdict and its metrics on it; returns the run's id.

    Raises:
        ValueError: no pipeline has this key.
    """
    client, experiment = open_tracking(project)
    run_id = _find_parent(client, experiment, key)
    if run_id is None:
        raise ValueError(f"no pipeline `{key}` is tracked; begin it with start_pipeline")
    log = RunLog(client, run_id, project)
    if verdict is not None:
        log.tags(
            {
                "verdict": verdict["verdict"],
                "candidate": verdict["candidate"]["digest"],
                "mlflow.note.content": verdict["sentence"],
            }
        )
        log.metrics(verdict_metrics(verdict))
    log.flush()
    client.set_terminated(run_id, status)
    return run_id


def verdict_metrics(verdict: Mapping[str, Any]) -> dict[str, float]:
    """The verdict's metrics under MLflow's names: `chitchat/response_perplexity`."""
    return {
        f"{domain}/{metric}": float(value)
        for domain, values in verdict["metrics"].items()
        for metric, value in values.items()
        if value is not None
    }


def find_run(project: Path, tags: Mapping[str, str]) -> str | None:
    """The id of the newest run that carries all these tags."""
    client, experiment = open_tracking(project)
    condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    runs = client.search_runs([experiment], condition, max_results=1)
    return runs[0].info.run_id if runs else None


def run_link(project: Path, run_id: str, artifact: str, address: str = UI) -> str:
    """Where MLflow's UI at `address` shows a run's artefact."""
    _, experiment = open_tracking(project)
    return f"{address}/#/experiments/{experiment}/runs/{run_id}/artifacts/{artifact}"


def open_tracking(project: Path) -> tuple[Any, str]:
    """A client of the project's tracking store, and the experiment's id.

    The store is made where there is none, by one process: MLflow's own migrations break when two
    begin on an empty database, or when one is killed half-way.
    """
    uri = tracking_uri(project)
    local = uri.startswith("sqlite:")
    if local:
        # Half a second of imports that would otherwise be made under the lock.
        importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    with _lock(project):
        if uri == _default_uri(project) and not (project / DATABASE).exists():
            _make_database(project / DATABASE)
        client = mlflow.MlflowClient(uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            return client, experiment.experiment_id
        artifacts = (project.resolve() / ARTIFACTS / EXPERIMENT).as_uri() if local else None
        return client, client.create_experiment(EXPERIMENT, artifact_location=artifacts)


def tracking_uri(project: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else the database that a plain `mlflow ui` opens."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _default_uri(project)


_NO_KEY = re.compile(r"[^\w.\- :]")


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, Value]:
    """Nested settings as dotted ones; lists as JSON."""
    flat: dict[str, Value] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            flat[prefix + key] = json.dumps(value, ensure_ascii=False)
        else:
            flat[prefix + key] = value  # type: ignore[assignment]
    return flat


def _parent(client: Any, experiment: str, project: Path, stage: str) -> tuple[str, bool]:
    """The pipeline's run, and whether somebody else ends it (a flow does)."""
    ours, dvc = os.environ.get(PIPELINE_VARIABLE), dvc_process()
    owned = bool(ours)
    key = ours or dvc or uuid.uuid4().hex
    # Two stages that start at once must agree on one parent.
    with _lock(project):
        run_id = _find_parent(client, experiment, key)
        if run_id is None:
            run_id = _create_parent(client, experiment, project, key, "dvc repro" if dvc else stage)
        elif not owned:
            client.update_run(run_id, status="RUNNING")
    return run_id, owned


def _find_parent(client: Any, experiment: str, key: str) -> str | None:
    runs = client.search_runs([experiment], f"tags.`{_PIPELINE_TAG}` = '{key}'", max_results=1)
    return runs[0].info.run_id if runs else None


def _create_parent(client: Any, experiment: str, project: Path, key: str, name: str) -> str:
    _close_abandoned(client, experiment)
    tags = _tags(project, name) | {_PIPELINE_TAG: key}
    now = datetime.datetime.now().astimezone()
    run = client.create_run(experiment, tags=tags, run_name=f"{name} {now:%Y-%m-%d %H:%M:%S}")
    return str(run.info.run_id)


def _close_abandoned(client: Any, experiment: str) -> None:
    """End what a killed process of this host left RUNNING for ever."""
    host = socket.gethostname()
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        owner, _, process = run.data.tags.get(_PROCESS_TAG, "").partition("|")
        if owner == host and not is_alive(process):
            client.set_terminated(run.info.run_id, "KILLED")


def _tags(project: Path, source: str) -> dict[str, str]:
    tags = {
        "mlflow.source.name": source,
        "mlflow.source.type": "LOCAL",
        "mlflow.user": user(),
        _PROCESS_TAG: f"{socket.gethostname()}|{process_key()}",
    }
    if commit := git_commit(project):
        tags["mlflow.source.git.commit"] = commit
    if digest := lock_digest(project):
        tags["dvc_lock"] = digest
    return tags


def _default_uri(project: Path) -> str:
    return f"sqlite:///{project.resolve() / DATABASE}"


def _make_database(path: Path) -> None:
    """An empty store, whole or not at all, that readers and writers use at once (WAL)."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(_empty_database())
    with contextlib.closing(sqlite3.connect(partial)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    partial.replace(path)


@functools.cache
def _empty_database() -> bytes:
    """MLflow's migrations, made in memory: on a disk they wait for it a hundred times."""
    name = f"file:{uuid.uuid4().hex}?mode=memory&cache=shared"
    mlflow.MlflowClient(f"sqlite:///{name}&uri=true")
    with contextlib.closing(sqlite3.connect(name, uri=True)) as connection:
        return connection.serialize()


def _lock(project: Path) -> filelock.BaseFileLock:
    """One process at a time; the operating system lets go of it when its holder dies."""
    return filelock.FileLock(project.resolve() / f"{DATABASE}.lock", timeout=60)


def _keys(names: Iterable[str]) -> list[str]:
    """As MLflow takes them: it knows no `*`, in which a pattern of domains ends, and no emoji."""
    keys: list[str] = []
    for name in names:
        key = fit = _NO_KEY.sub("_", name)[:_MAX_KEY]
        number = 1
        while fit in keys:
            number += 1
            fit = f"{key}_{number}"
        keys.append(fit)
    return keys


def _batches(entries: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(entries), _MAX_BATCH):
        yield entries[start : start + _MAX_BATCH]


def _text(value: Value) -> str:
    return ("null" if value is None else str(value))[:_MAX_VALUE]


def _relative(path: Path, project: Path) -> str:
    path, project = path.resolve(), project.resolve()
    return (path.relative_to(project) if path.is_relative_to(project) else path).as_posix()
