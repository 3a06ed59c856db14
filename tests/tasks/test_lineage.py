from __future__ import annotations

from typing import Any

import pytest

from dialogue.config import Params
from dialogue.digests import file_digest
from dialogue.records import Dialogue, Turn, write_dialogues
from tasks import releases, tracking
from tasks.lineage import trace
from tasks.register import register

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")


def test_a_model_is_followed_to_its_verdict_its_run_and_its_data(
    project: Any, params: Params
) -> None:
    with tracking.stage_run("finetune", {}, project.path) as log:
        files = project.candidate(1)
        log.tags({"model_digest": files.digest})
    release = register(params, project.path, **files.paths).release
    store = releases.open_store(project.path)
    releases.compare_and_set(store, None, release, action="promote", actor="ana", reason="better")
    found = trace(project.path, params.register_.model_name, files.digest)
    assert found.release == release
    assert found.release.verdict["verdict"] == "PROMOTE"
    assert found.facts["training_run"] == log.run_id
    assert found.journal[-1].reason == "better"
    other = register(params, project.path, **project.candidate(2, files.digest).paths).release
    moved = {"action": "override", "actor": "bob", "reason": "kinder"}
    releases.compare_and_set(store, files.digest, other, **moved)
    found = trace(project.path, params.register_.model_name, files.digest)
    assert [entry.reason for entry in found.journal][-2:] == ["better", "kinder"]
    assert (found.journal[-1].digest, found.journal[-1].previous) == (other.digest, files.digest)
    assert [each.domain for each in found.learned] == ["chitchat", "support", "assistant"]
    for each in found.learned:
        assert each.digest == file_digest(each.path)
        assert each.sources is not None
        (source,) = each.sources
        assert (source.source, source.licence) == (f"{each.domain}==1.0", "MIT")
        assert (source.raw_digest, source.dialogues) == ("d" * 64, 1)


def test_data_that_are_others_by_now_are_not_taken_for_those(project: Any, params: Params) -> None:
    files = project.candidate(1)
    register(params, project.path, **files.paths)
    turns = (Turn("user", "hello"), Turn("assistant", "something else"))
    other = Dialogue("other", turns, "support", "train", "support==2.0", "1", "MIT", "e" * 64)
    path = project.data / "support" / "dialogues.parquet"
    before = file_digest(path)
    write_dialogues(path, [other])
    found = trace(project.path, params.register_.model_name, files.digest)
    chitchat, support, _ = found.learned
    assert chitchat.sources is not None
    assert support.sources is None
    assert support.digest == before


def test_who_is_not_registered_has_no_lineage(project: Any, params: Params) -> None:
    register(params, project.path, **project.candidate(1).paths)
    with pytest.raises(ValueError, match=f"no registered model has the digest {'f' * 64}"):
        trace(project.path, params.register_.model_name, "f" * 64)
