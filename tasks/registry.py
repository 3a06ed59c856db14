"""The door of MLflow's model registry: versions of the chatbot, and the alias of its champion."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import tempfile
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import LoggedModelOutput, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Object, Property, Schema
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from tasks.tracking import ARTIFACTS, MAX_DIGEST, RunLog, open_tracking, tracking_uri

CHAMPION = "champion"
MODEL_FOLDER = "model"
"""Where in a version the Hugging Face folder lies: vLLM serves it as it is."""

CARD = "README.md"

_CODE = Path(__file__).with_name("chat_model.py")
_REQUIREMENTS = ("mlflow", "torch", "transformers", "safetensors")
_EXAMPLE = {"messages": [{"role": "user", "content": "Hello, how are you?"}], "max_tokens": 32}
_DIGEST_TAG = "digest"
_MAX_DESCRIPTION = 5_000
"""Characters: MLflow's column in Postgres and MySQL; SQLite counts none."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the registered model."""

    number: int
    digest: str
    run_id: str
    model_id: str
    location: str
    """URI of the version's files: README.md, card.html, verdict.json, MLmodel, `model/`, …."""
    tags: Mapping[str, str]


Metrics = Mapping[str, Mapping[str, float]]
"""Digest of the dialogues that were asked → name → what was measured on them."""


def log_version(
    project: Path,
    name: str,
    log: RunLog,
    *,
    model: Path,
    files: Mapping[str, Path],
    card: str,
    metrics: Metrics,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    defaults: Mapping[str, float],
) -> Version:
    """Make a model folder a version of `name`.

    Args:
        project: the project's root.
        name: the registered model's name; made where there is none.
        log: the run that the version comes from; the metrics are logged to it as well.
        model: an ordinary Hugging Face folder.
        files: further files by the name they get inside the version.
        card: the model card, in Markdown.
        metrics: what comparisons of versions show.
        params: settings that comparisons of versions show.
        tags: labels of the version; `digest` is how it is found again.
        defaults: temperature, top_p, repetition_penalty and max_tokens of a chat without them.

    Returns:
        The version. Its folder holds the model once; nothing in it is pickled.
    """
    client, experiment = open_tracking(project)
    _remove_unfinished(client, experiment, tags[_DIGEST_TAG])
    logged = client.create_logged_model(
        experiment,
        name=name,
        source_run_id=log.run_id,
        tags=dict(tags),
        params=dict(params),
        model_type="chat",
    )
    with tempfile.TemporaryDirectory() as scratch:
        staged = Path(scratch) / "version"
        _stage(staged, model, logged, log.run_id, defaults)
        (staged / CARD).write_text(card, encoding="utf-8")
        for file_name, path in files.items():
            shutil.copyfile(path, staged / file_name)
        client.log_model_artifacts(logged.model_id, str(staged))
    # The weights go straight to their place: through MLflow's own staging they would be copied
    # twice, the first time into a /tmp that may be too small.
    client.log_model_artifacts(logged.model_id, str(model), artifact_path=MODEL_FOLDER)
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(log.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    _log_metrics(client, logged.model_id, log.run_id, metrics)
    number = _create_version(client, project, name, logged.model_id, log.run_id, tags, card)
    # MLflow's server tells the model of its versions; a client of the database must do so itself.
    known_as = [{"name": name, "version": str(number)}]
    client.set_logged_model_tags(logged.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(known_as)})
    return _version(client, client.get_model_version(name, str(number)))


def refresh_version(
    project: Path,
    name: str,
    version: Version,
    *,
    files: Mapping[str, Path],
    card: str,
    metrics: Metrics,
    tags: Mapping[str, str],
) -> None:
    """Give a version that was judged again its new verdict: files, card and tags are replaced.

    Metrics get new values beside the old ones.
    """
    client, _ = open_tracking(project)
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / CARD).write_text(card, encoding="utf-8")
        for file_name, path in files.items():
            shutil.copyfile(path, Path(scratch) / file_name)
        client.log_model_artifacts(version.model_id, scratch)
    _log_metrics(client, version.model_id, version.run_id, metrics)
    client.update_model_version(name, str(version.number), description=_description(card))
    tag_version(project, name, version.number, tags)


def tag_version(project: Path, name: str, number: int, tags: Mapping[str, str]) -> None:
    """Set tags of a version, as a person does in the UI."""
    client, _ = open_tracking(project)
    for key, value in tags.items():
        client.set_model_version_tag(name, str(number), key, value)


def version_folder(project: Path, version: Version) -> Path:
    """The version's files on this machine.

    From a remote artefact store the weights are fetched once, for they never change; the rest
    (verdict, evidence, card) is fetched on every call, for a new judgement replaces it.
    """
    if urllib.parse.urlparse(version.location).scheme in ("", "file"):
        return Path(local_file_uri_to_path(version.location))
    client, _ = open_tracking(project)
    local = project / ARTIFACTS / "fetched" / version.model_id
    # Beside its place, so that what a kill interrupts is never taken for whole.
    partial = local.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if not (local / MODEL_FOLDER).is_dir():
        shutil.rmtree(local, ignore_errors=True)
        _download(project, version.location, partial).replace(local)
    else:
        for entry in client.list_logged_model_artifacts(version.model_id):
            if entry.path != MODEL_FOLDER:
                source = f"{version.location}/{entry.path}"
                _download(project, source, partial).replace(local / entry.path)
    shutil.rmtree(partial, ignore_errors=True)
    return local


def versions(project: Path, name: str) -> list[Version]:
    """All versions of the registered model, oldest first; empty where there is none."""
    client, _ = open_tracking(project)
    found = client.search_model_versions(f"name = '{name}'")
    return sorted((_version(client, entry) for entry in found), key=lambda v: v.number)


def version_of(project: Path, name: str, digest: str) -> Version | None:
    """The first version that holds the model with this digest."""
    client, _ = open_tracking(project)
    condition = f"name = '{name}' and tags.`{_DIGEST_TAG}` = '{digest}'"
    found = client.search_model_versions(condition)
    return min((_version(client, e) for e in found), key=lambda v: v.number, default=None)


def was_deleted(project: Path, name: str, digest: str) -> bool:
    """Whether MLflow knows the registered model, and none of its models has this digest."""
    client, _ = open_tracking(project)
    if client.search_model_versions(f"tags.`{_DIGEST_TAG}` = '{digest}'"):
        return False
    return bool(client.search_registered_models(f"name = '{name}'"))


def alias(project: Path, name: str) -> Version | None:
    """The version that carries the champion's alias, or None."""
    client, _ = open_tracking(project)
    try:
        return _version(client, client.get_model_version_by_alias(name, CHAMPION))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def set_alias(project: Path, name: str, number: int | None) -> None:
    """Move the champion's alias to a version, or take it away."""
    client, _ = open_tracking(project)
    if number is None:
        client.delete_registered_model_alias(name, CHAMPION)
    else:
        client.set_registered_model_alias(name, CHAMPION, str(number))


def _download(project: Path, source: str, to: Path) -> Path:
    """Returns where under the folder `to` MLflow put the file or folder: that is its own affair."""
    uri = tracking_uri(project)
    return Path(mlflow.artifacts.download_artifacts(source, dst_path=str(to), tracking_uri=uri))


def _remove_unfinished(client: Any, experiment: str, digest: str) -> None:
    """What a killed registration of this model left: weights that no version ever pointed to.

    Those of a version that was deleted, or has another name, the release store may still know.
    """
    for logged in client.search_logged_models([experiment], f"tags.`{_DIGEST_TAG}` = '{digest}'"):
        if MLFLOW_MODEL_VERSIONS in logged.tags:
            continue
        if urllib.parse.urlparse(logged.artifact_location).scheme in ("", "file"):
            shutil.rmtree(local_file_uri_to_path(logged.artifact_location), ignore_errors=True)
        client.delete_logged_model(logged.model_id)


def _stage(
    staged: Path, model: Path, logged: Any, run_id: str, defaults: Mapping[str, float]
) -> None:
    """Everything of a version but the weights."""
    meta = Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=logged.model_id)
    mlflow.pyfunc.save_model(
        staged,
        mlflow_model=meta,
        python_model=str(_CODE),
        signature=_signature(),
        input_example=_EXAMPLE,
        pip_requirements=[f"{p}=={importlib.metadata.version(p)}" for p in _REQUIREMENTS],
        model_config=dict(defaults),
        metadata={"task": "llm/v1/chat"},
    )
    meta.flavors["python_function"]["artifacts"] = {
        "model": {"path": MODEL_FOLDER, "uri": MODEL_FOLDER}
    }
    meta.model_size_bytes = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    meta.save(str(staged / "MLmodel"))


def _signature() -> ModelSignature:
    """OpenAI's chat completions, as far as the model honours them."""
    message = [Property("role", DataType.string), Property("content", DataType.string)]
    request = [
        ColSpec(Array(Object(message)), "messages"),
        ColSpec(DataType.double, "temperature", required=False),
        ColSpec(DataType.double, "top_p", required=False),
        ColSpec(DataType.long, "max_tokens", required=False),
    ]
    choice = [
        Property("index", DataType.long),
        Property("message", Object(message)),
        Property("finish_reason", DataType.string),
    ]
    usage = ("prompt_tokens", "completion_tokens", "total_tokens")
    completion = [
        ColSpec(DataType.string, "id"),
        ColSpec(DataType.string, "object"),
        ColSpec(DataType.long, "created"),
        ColSpec(DataType.string, "model"),
        ColSpec(Array(Object(choice)), "choices"),
        ColSpec(Object([Property(count, DataType.long) for count in usage]), "usage"),
    ]
    return ModelSignature(Schema(request), Schema(completion))


def _log_metrics(client: Any, model_id: str, run_id: str, metrics: Metrics) -> None:
    """To the run and to the model: comparisons read the one or the other, by data set."""
    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[
            Metric(
                key,
                value,
                now,
                0,
                model_id=model_id,
                dataset_name="exam",
                dataset_digest=exam[:MAX_DIGEST],
                run_id=run_id,
            )
            for exam, measured in metrics.items()
            for key, value in measured.items()
        ],
    )


def _create_version(
    client: Any,
    project: Path,
    name: str,
    model_id: str,
    run_id: str,
    tags: Mapping[str, str],
    card: str,
) -> int:
    try:
        client.create_registered_model(name, description="The chatbot that keeps learning.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    with _as_default(tracking_uri(project)):
        entry = client.create_model_version(
            name,
            f"models:/{model_id}",
            run_id,
            tags=dict(tags),
            description=_description(card),
            # A server takes no source that is not named as the model's own.
            model_id=model_id,
        )
    return int(entry.version)


def _description(card: str) -> str:
    """As many lines of the card as MLflow's databases hold; whole it lies among the files."""
    if len(card) <= _MAX_DESCRIPTION:
        return card
    more = f"\n\nMore in {CARD} among the files.\n"
    return card[: card.rindex("\n", 0, _MAX_DESCRIPTION - len(more))] + more


def _version(client: Any, entry: Any) -> Version:
    location = client.get_model_version_download_uri(entry.name, entry.version)
    return Version(
        number=int(entry.version),
        digest=entry.tags.get(_DIGEST_TAG, ""),
        run_id=entry.run_id or "",
        model_id=entry.source.rpartition("/")[2],
        location=location,
        tags=dict(entry.tags),
    )


@contextlib.contextmanager
def _as_default(uri: str) -> Iterator[None]:
    """MLflow's SQL registry resolves `models:/…` by the process-wide store, not the client's."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        # What was set in the surroundings stays theirs: setting it here would outlive them.
        mlflow.set_tracking_uri(None)
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before
