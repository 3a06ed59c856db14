"""Data pushed to a folder and pulled into a clone; what was tampered with on the way is noticed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from dialogue.manifest import verify_manifest
from dialogue.records import read_dialogues
from tasks.storage import Storage, open_storage
from tasks.versions import History, read_history, records_at
from tests.versioned import Versioned, dialogue

FIRST = [dialogue(f"word {number}", f"faq.json:{number}") for number in range(20)]
SECOND = FIRST[5:]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Versioned:
    project = Versioned.make(tmp_path_factory.mktemp("template") / "project")
    project.version(FIRST, "first")
    project.version(SECOND, "second")
    return project


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default remote is in a person's home: give them one of their own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def project(template: Versioned, tmp_path: Path) -> Versioned:
    return template.copied(tmp_path / "project")


def clone(project: Versioned, name: str = "clone") -> Versioned:
    path = project.path.with_name(name)
    subprocess.run(["git", "clone", "-q", str(project.path), str(path)], check=True)
    return Versioned(path)


def pushed(project: Versioned) -> Path:
    """Push every version without setting anything up; returns the remote's folder."""
    assert project.dvc("push", "--all-commits") == 0
    assert _remote().is_dir()
    return _remote()


def stored(remote: Path, file: Path) -> Path:
    """The object of the remote that is this file of a cache; writable."""
    path = remote / "files" / "md5" / file.parent.name / file.name
    path.chmod(0o644)
    return path


def tamper(path: Path) -> None:
    """Flip one bit, and leave size, time and mode as they were."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def history(project: Versioned, remote: str | None = None) -> History:
    with open_storage(project.path, remote) as storage:
        return read_history(project.path, storage)


def places(project: Versioned) -> list[tuple[str, str | None]]:
    return [(each.in_cache, each.in_remote) for each in history(project).versions["support"]]


def test_push_clone_pull_gives_the_same_bytes(project: Versioned) -> None:
    assert places(project) == [("whole", "none"), ("whole", "none")]
    pushed(project)
    assert places(project) == [("whole", "whole"), ("whole", "whole")]
    copy = clone(project)
    assert places(copy) == [("none", "whole"), ("none", "whole")]
    assert copy.dvc("pull") == 0
    # What both versions have in common came along with the newer one.
    assert places(copy) == [("whole", "whole"), ("part", "whole")]
    assert history(copy).versions["support"][0].workspace == "whole"
    assert verify_manifest(copy.valid) == verify_manifest(project.valid)
    assert list(read_dialogues(copy.valid / "dialogues.parquet")) == SECOND


def test_what_is_missing_says_how_it_comes_back(project: Versioned) -> None:
    with open_storage(project.path) as storage:
        whole = records_at(project.path, storage, "support", "HEAD~1").path
    copy = clone(project)
    _refused(copy, "HEAD~1", r"the remote `folder` lacks it: `git checkout .......` and `dvc")
    pushed(project)
    message = _refused(copy, "HEAD", r"`dvc pull data/valid/support` brings it from the remote")
    _follow(copy, message)
    message = _refused(copy, "HEAD~1", "`dvc fetch --all-commits data/valid/support` brings it")
    _follow(copy, message)
    with open_storage(copy.path) as storage:
        found = records_at(copy.path, storage, "support", "HEAD~1").path
    assert found.read_bytes() == whole.read_bytes()


def test_a_commit_that_knew_no_remote(tmp_path: Path) -> None:
    """DVC reads each commit's own configuration, and passes over those that name no remote."""
    project = Versioned.make(tmp_path / "project")
    config = project.path / ".dvc" / "config"
    whole = config.read_text()
    config.write_text("")
    project.version(FIRST, "before there was a remote")
    config.write_text(whole)
    project.version(SECOND, "second")
    assert project.dvc("remote", "add", "--local", "folder", str(_remote())) == 0
    assert project.dvc("push", "--all-commits", "--remote", "folder") == 0
    copy = clone(project)
    _follow(copy, _refused(copy, "HEAD~1", "`dvc remote add --local folder .* knew no such remote"))
    with open_storage(copy.path) as storage:
        path = records_at(copy.path, storage, "support", "HEAD~1").path
    assert list(read_dialogues(path)) == FIRST


def test_a_tampered_remote_does_not_get_through_a_pull(project: Versioned) -> None:
    tamper(stored(pushed(project), project.cached()))
    copy = clone(project)
    assert copy.dvc("pull") != 0
    assert not (copy.valid / "dialogues.parquet").exists()
    assert not copy_cached(copy, project).exists()


def test_a_remote_that_dvc_does_not_verify_is_caught_by_the_manifest(project: Versioned) -> None:
    tamper(stored(pushed(project), project.cached()))
    copy = clone(project)
    assert copy.dvc("remote", "modify", "--local", "folder", "verify", "false") == 0
    assert copy.dvc("pull") == 0
    with pytest.raises(ValueError, match=r"dialogues\.parquet: damaged"):
        verify_manifest(copy.valid)
    _refused(copy, "workspace", r"dialogues\.parquet: damaged")
    _refused(copy, "HEAD", r"damaged in DVC's cache; delete this file, then `dvc pull")


def test_a_tampered_cache_object_is_noticed_and_mended(project: Versioned) -> None:
    pushed(project)
    tamper(project.cached())
    message = _refused(project, "HEAD", r"damaged in DVC's cache; delete this file, then `dvc pull")
    Path(message.partition(": damaged")[0]).unlink()
    _follow(project, message)
    with open_storage(project.path) as storage:
        path = records_at(project.path, storage, "support", "HEAD").path
    assert list(read_dialogues(path)) == SECOND


def test_looking_does_not_wait_for_a_run(project: Versioned) -> None:
    with Repo(str(project.path)) as repo, repo.lock:
        assert places(project) == [("whole", "none"), ("whole", "none")]


def test_remotes_that_cannot_be_asked(project: Versioned) -> None:
    with pytest.raises(ValueError, match=r"no remote `s3`; there are folder"):
        history(project, "s3")
    project.dvc("remote", "add", "--default", "far", "ssh://nobody@127.0.0.1:9/data")
    found = history(project).versions["support"]
    assert [each.in_remote for each in found] == [None, None]
    with pytest.raises(ValueError, match=r"the remote `far` \(ssh://.*requires 'dvc-ssh'"):
        history(project, "far")


def test_without_any_remote(project: Versioned) -> None:
    (project.path / ".dvc" / "config").write_text("")
    assert places(project) == [("whole", None), ("whole", None)]
    project.cached().chmod(0o644)
    project.cached().unlink()
    assert places(project)[0] == ("part", None)
    _refused(project, "HEAD", "no remote is set: `perennial run` makes it again")


def copy_cached(copy: Versioned, project: Versioned) -> Path:
    return copy.path / project.cached().relative_to(project.path)


def _remote() -> Path:
    return Path.home() / ".local" / "share" / "perennial" / "data"


def _refused(project: Versioned, revision: str, match: str) -> str:
    with (
        open_storage(project.path) as storage,
        pytest.raises(ValueError, match=match) as caught,
    ):
        _look(project, storage, revision)
    return str(caught.value)


def _look(project: Versioned, storage: Storage, revision: str) -> None:
    records_at(project.path, storage, "support", revision)


def _follow(project: Versioned, message: str) -> None:
    """Do what a message says: the commands between its backticks."""
    commands = [part for part in message.split("`")[1::2] if part.startswith("dvc ")]
    assert commands, message
    for command in commands:
        assert project.dvc(*command.split()[1:]) == 0, command
