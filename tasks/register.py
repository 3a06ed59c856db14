"""Register: the candidate becomes a version that can be found, compared, traced and served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from dialogue.config import Params
from dialogue.digests import file_digest
from dialogue.manifest import read_manifest, verify_manifest
from tasks import registry, releases, tracking
from tasks._model_card import Data, model_card, read_data
from tasks._origin import git_commit, lock_digest, user
from tasks._report_card import CONTENT, PAGE, lifelong_metrics, read_report
from tasks._verdict import EVIDENCE, VERDICT, check_verdict, read_verdict
from tasks.registry import Version
from tasks.releases import Release

RECORDS = "dialogues.parquet"


@dataclass(frozen=True, slots=True)
class Registration:
    """The candidate's release, and whether it is new."""

    release: Release
    created: bool


def register(
    params: Params,
    project: Path,
    *,
    model: Path,
    verdict: Path,
    evidence: Path,
    data: Path,
    page: Path,
    content: Path,
) -> Registration:
    """Make the judged model a version of `register.model_name`, once.

    The files alone decide: where DVC took them from its cache, they are registered just the same.
    A digest that is registered already yields its version; a new verdict of it, or a new report
    card, replaces the old. What a killed registration left is completed.

    Args:
        params: the settings.
        project: the project's root.
        model: the candidate's folder; every byte of it is checked against its manifest.
        verdict: verdict.json, of this very model.
        evidence: the scores that the verdict was given on.
        data: the folder that holds the validated records by domain.
        page: the report card, to be read in MLflow.
        content: the same as JSON.

    Raises:
        ValueError: the model is damaged, or verdict, evidence or report card do not belong to it.
    """
    digest = verify_manifest(model)
    judged = read_verdict(verdict)
    check_verdict(judged, digest, evidence)
    report = read_report(content, page, digest)
    store = releases.open_store(project)
    with filelock.FileLock(project / f"{releases.DATABASE}.lock"):
        known = releases.release_of(store, digest)
        version = registry.version_of(project, params.register_.model_name, digest)
        shown = version is not None and version.tags.get("report_card") == file_digest(page)
        same = known is not None and known.verdict == judged
        if known is not None and same and shown:
            assert version is not None
            registry.version_folder(project, version)
            releases.model_folder(store, digest)
            return Registration(known, created=False)
        facts = _facts(project, model, judged) | {"report_card": file_digest(page)}
        card = model_card(params, judged, _data(params, judged, data), facts)
        files = {VERDICT: verdict, EVIDENCE: evidence, PAGE: page, CONTENT: content}
        if version is None:
            made = _log(params, project, model, judged, data, files, card, facts, report)
        else:
            made = version
            registry.refresh_version(
                project,
                params.register_.model_name,
                made,
                files=files,
                card=card,
                metrics={} if same else _metrics(judged, report),
                tags=facts,
            )
        if known is not None and same and version is not None:
            return Registration(known, created=False)
        release = _record(store, project, made, judged)
    return Registration(release, created=version is None)


def _log(
    params: Params,
    project: Path,
    model: Path,
    judged: Mapping[str, Any],
    data: Path,
    files: Mapping[str, Path],
    card: str,
    facts: Mapping[str, str],
    report: Mapping[str, Any],
) -> Version:
    domain = judged["candidate"]["domain"]
    settings = {"finetune": params.finetune.model_dump(), "profile": params.profile}
    serve = params.serve
    with tracking.stage_run("register", settings, project) as log:
        log.tags({"domain": domain, "model": facts["digest"], "verdict": facts["verdict"]})
        for name in params.lineage(domain):
            records = data / name / RECORDS
            log.dataset(name, file_digest(records), records, "training")
        log.dataset("exam", judged["exam_digest"], files[EVIDENCE], "evaluation")
        for curve in report["curves"]:
            for step, loss in zip(curve["steps"], curve["smooth"], strict=True):
                if step is not None and loss is not None:
                    log.metrics({f"loss/{curve['name']}": loss}, step=int(step))
        return registry.log_version(
            project,
            params.register_.model_name,
            log,
            model=model,
            files=files,
            card=card,
            metrics=_metrics(judged, report),
            params={key: str(value) for key, value in tracking.flatten(settings).items()},
            tags=facts,
            defaults={
                "temperature": serve.temperature,
                "top_p": serve.top_p,
                "repetition_penalty": serve.repetition_penalty,
                "max_tokens": serve.max_new_tokens,
            },
        )


def _metrics(judged: Mapping[str, Any], report: Mapping[str, Any]) -> registry.Metrics:
    """What comparisons of versions show: the same names for every version.

    The lifelong matrix is of the first look's exam, whichever look decided.
    """
    lifelong, exam = lifelong_metrics(report), judged["exam_digest"]
    if (first := report["lifelong"]["exam_digest"]) != exam:
        return {exam: tracking.verdict_metrics(judged), first: lifelong}
    return {exam: tracking.verdict_metrics(judged) | lifelong}


def _record(
    store: releases.Store, project: Path, version: Version, judged: Mapping[str, Any]
) -> Release:
    """Write the version into the release store, once the stored copy is proven whole."""
    folder = registry.version_folder(project, version) / registry.MODEL_FOLDER
    release = Release(version.digest, version.number, folder, version.run_id, judged)
    found = verify_manifest(folder)
    assert found == version.digest, f"{folder} was copied wrongly"
    releases.record(store, release)
    releases.append(
        store,
        action="register",
        release=release,
        actor=user(),
        reason=judged["sentence"],
    )
    return release


def _facts(project: Path, model: Path, judged: Mapping[str, Any]) -> dict[str, str]:
    """The version's tags: everything by which it is traced, as far as it is known."""
    digest = judged["candidate"]["digest"]
    facts = {
        "digest": digest,
        "domain": judged["candidate"]["domain"],
        "parent_digest": str(read_manifest(model).get("parent_digest", "")),
        "verdict": judged["verdict"],
        "judged_against": judged["champion"],
        "exam_digest": judged["exam_digest"],
        "evidence_digest": judged["evidence_digest"],
        "dvc_lock": lock_digest(project),
        "git_commit": git_commit(project),
        "training_run": tracking.find_run(
            project, {"model_digest": digest, "mlflow.source.name": "tasks.finetune"}
        ),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _data(params: Params, judged: Mapping[str, Any], data: Path) -> list[Data]:
    domains = params.lineage(judged["candidate"]["domain"])
    return [entry for name in domains for entry in read_data(name, data / name / RECORDS)]
