"""Versions of a domain over the commits of a real project of git and DVC."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dialogue.records import Dialogue, read_dialogues
from tasks import releases
from tasks.releases import Release
from tasks.storage import open_storage
from tasks.versions import WORKSPACE, History, Located, read_history, records_at
from tests.versioned import Versioned, dialogue

FIRST = [dialogue(f"word {number}", f"faq.json:{number}") for number in range(20)]
SECOND = [*FIRST[5:], dialogue("news", "faq.json:21", "test")]


@pytest.fixture
def project(tmp_path: Path) -> Versioned:
    return Versioned.make(tmp_path / "project")


def history(project: Versioned) -> History:
    with open_storage(project.path) as storage:
        return read_history(project.path, storage)


def located(project: Versioned, revision: str) -> Located:
    with open_storage(project.path) as storage:
        return records_at(project.path, storage, "support", revision)


def dialogues(project: Versioned, revision: str) -> list[Dialogue]:
    return list(read_dialogues(located(project, revision).path))


def test_a_commits_subject_may_hold_any_character(project: Versioned) -> None:
    subject = "one\u2028two\x85three\x0cfour"
    project.version(FIRST, subject)
    (version,) = history(project).versions["support"]
    assert version.commit is not None
    assert version.commit.subject == subject


def test_versions_are_distinct_and_the_newest_comes_first(project: Versioned) -> None:
    first = project.version(FIRST, "first")
    digest = project.digest()
    project.git("commit", "-q", "--allow-empty", "-m", "no new data")
    second = project.version(SECOND, "second")
    newest, oldest = history(project).versions["support"]
    assert newest.commit is not None
    assert oldest.commit is not None
    assert (newest.commit.digest, newest.commit.subject) == (second, "second")
    assert (oldest.commit.digest, oldest.valid.digest) == (first, digest)
    assert (newest.is_head, newest.workspace) == (True, "whole")
    assert (oldest.is_head, oldest.workspace) == (False, None)
    assert newest.counts is not None
    assert newest.counts.dialogues == {"train": 15, "validation": 0, "test": 1}
    assert newest.counts.turns == {"train": 30, "validation": 0, "test": 2}
    assert newest.source["package"] == "chatterbot-corpus==1.3.3"
    assert newest.source["licence"] == "BSD-3-Clause"
    assert [file["sha256"] for file in newest.raw] == ["d" * 64]
    assert newest.records is not None
    assert newest.encoded is not None
    assert newest.encoded.path == "data/encoded/support"


def test_a_version_that_came_back_is_one_version(project: Versioned) -> None:
    first = project.version(FIRST, "first")
    project.version(SECOND, "second")
    project.version(FIRST, "back again")
    newest, other = history(project).versions["support"]
    assert newest.commit is not None
    assert newest.commit.digest == first
    assert newest.is_head
    assert not other.is_head


def test_the_workspace_is_a_version_of_its_own_until_it_is_committed(project: Versioned) -> None:
    project.version(FIRST, "first")
    project.write(SECOND)
    changed, *_ = history(project).versions["support"]
    assert changed.workspace == "changed"
    project.lock()
    newest, oldest = history(project).versions["support"]
    assert (newest.commit, newest.workspace) == (None, "whole")
    assert oldest.is_head
    shutil.rmtree(project.valid)
    assert history(project).versions["support"][0].workspace == "absent"


def test_before_the_first_commit_and_before_the_first_run(project: Versioned) -> None:
    assert history(project).versions == {}
    project.write(FIRST)
    project.lock()
    (only,) = history(project).versions["support"]
    assert only.commit is None
    with (
        open_storage(project.path) as storage,
        pytest.raises(ValueError, match=r"bank: no version of it in dvc\.lock.*there are support"),
    ):
        read_history(project.path, storage, ["bank"])


def test_a_lock_left_in_conflict_is_told(project: Versioned) -> None:
    project.version(FIRST, "first")
    lock = project.path / "dvc.lock"
    whole = lock.read_text()
    lock.write_text("<<<<<<< ours\n" + whole)
    project.commit("a conflict, committed")
    with pytest.raises(ValueError, match=r"dvc\.lock: damaged .*git checkout dvc\.lock"):
        history(project)
    lock.write_text(whole)
    found = history(project)
    assert len(found.versions["support"]) == 1
    assert "dvc.lock: damaged" in found.faults[0]


def test_what_ingest_read_since_is_not_said_of_an_older_version(project: Versioned) -> None:
    """A lock may hold a new ingestion beside the validation of the one before."""
    project.version(FIRST, "first")
    lock = project.path / "dvc.lock"
    digest = project.digest()
    whole = lock.read_text()
    ingest, validate = whole.split("  validate@support:")
    lock.write_text(ingest.replace(digest, "0" * 32 + ".dir") + "  validate@support:" + validate)
    (version,) = history(project).versions["support"]
    assert version.source["licence"] == "BSD-3-Clause"  # the commit's lock knows
    project.commit("half a run")
    project.git("checkout", "-q", "--orphan", "alone")
    project.commit("half a run is all there is")
    (version,) = history(project).versions["support"]
    assert (dict(version.source), version.raw) == ({}, ())


def test_models_that_learned_a_version(project: Versioned) -> None:
    project.version(FIRST, "first", candidate="a" * 64)
    project.version(SECOND, "second", candidate="b" * 64)
    assert not history(project).versions["support"][0].learned_by
    assert not (project.path / releases.DATABASE).exists()
    store = releases.open_store(project.path)
    for version, digest in ((3, "a" * 64), (4, "b" * 64)):
        releases.record(store, Release(digest, version, project.path / "models", "run"))
    newest, oldest = history(project).versions["support"]
    assert (newest.learned_by, oldest.learned_by) == (("v4",), ("v3",))


def test_records_of_any_revision_without_touching_the_workspace(project: Versioned) -> None:
    first = project.version(FIRST, "first")
    digest = project.digest()
    project.git("tag", "v0")
    project.version(SECOND, "second")
    before = project.git("status", "--porcelain")
    for revision in (first, first[:9], "v0", "HEAD~1", digest[:8]):
        assert dialogues(project, revision) == FIRST
    for revision in ("HEAD", "main", WORKSPACE):
        assert dialogues(project, revision) == SECOND
    assert located(project, WORKSPACE).path.is_relative_to(project.valid)
    shutil.rmtree(project.valid)
    assert located(project, WORKSPACE).path == project.cached()
    assert not project.valid.exists()
    assert project.git("status", "--porcelain") == before


def test_a_changed_folder_has_no_digest(project: Versioned) -> None:
    project.version(FIRST, "first")
    assert located(project, WORKSPACE).digest == project.digest()
    project.write(SECOND)
    assert located(project, WORKSPACE).digest is None
    assert dialogues(project, WORKSPACE) == SECOND


@pytest.mark.parametrize("revision", ["nonsense", "--all", "", "0123456789"])
def test_no_such_revision(project: Versioned, revision: str) -> None:
    project.version(FIRST, "first")
    with pytest.raises(ValueError, match="no such commit, tag or branch here; `perennial data`"):
        located(project, revision)


def test_a_revision_without_that_domain_or_without_a_lock(project: Versioned) -> None:
    project.commit("no data yet")
    with pytest.raises(ValueError, match=r"has no dvc\.lock; `perennial data` lists"):
        located(project, "HEAD")
    with pytest.raises(ValueError, match=r"support: no version of it in dvc\.lock of workspace"):
        located(project, WORKSPACE)


def test_a_tampered_folder_is_noticed(project: Versioned) -> None:
    project.version(FIRST, "first")
    path = project.valid / "rejects.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ValueError, match=r"rejects\.parquet: damaged"):
        located(project, WORKSPACE)
