from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dialogue.config import FileSource, Params, WheelSource
from dialogue.digests import file_digest
from dialogue.sources import raw_files
from tasks.freshness import current_graph, sources_changed
from tasks.processes import Listener, Processes

PINNED = WheelSource(
    kind="wheel",
    package="some==1.0",
    sha256="a" * 64,
    members=("a.txt",),
    format="text",
    licence="MIT",
)


def note(report: Path, *files: tuple[str, str, str]) -> None:
    """What `gather` writes of its files: source, name, digest."""
    noted = [{"source": source, "name": name, "sha256": sha} for source, name, sha in files]
    report.write_text(json.dumps({"files": noted}))


def test_a_file_that_grew_is_noticed(tmp_path: Path) -> None:
    path, report = tmp_path / "chat.jsonl", tmp_path / "report.json"
    source = FileSource(kind="file", path=str(path), format="messages", licence="MIT")
    path.write_text("one\n")
    assert not sources_changed((source,), report), "ingest has not run yet: DVC knows that"
    report.write_text(json.dumps({"files": [{"name": str(path), "sha256": file_digest(path)}]}))
    assert not sources_changed((source,), report)
    path.write_text("one\ntwo\n")
    assert sources_changed((source,), report)
    path.unlink()
    assert sources_changed((source,), report), "ingest must run to name what is missing"


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and half a zip"])
def test_a_failed_export_is_noticed_where_the_stage_has_run(tmp_path: Path, content: bytes) -> None:
    """Or it would pass every night as if nothing were stale."""
    path, report = tmp_path / "chat.jsonl", tmp_path / "report.json"
    source = FileSource(kind="file", path=str(path), format="messages", licence="MIT")
    path.write_bytes(content)
    assert not sources_changed((source,), report), "ingest has not run yet: DVC knows that"
    report.write_text(json.dumps({"files": [{"name": str(path), "sha256": "a" * 64}]}))
    assert sources_changed((source,), report)


def test_a_pinned_package_never_changes(tmp_path: Path) -> None:
    assert not sources_changed((PINNED,), tmp_path / "report.json")


def test_a_file_beside_pinned_packages_is_noticed_too(tmp_path: Path) -> None:
    path, report = tmp_path / "text.txt", tmp_path / "report.json"
    file = FileSource(kind="file", path=str(path), format="text", licence="MIT")
    path.write_text("one")
    note(report, ("some==1.0", "a.txt", "b" * 64), (file.path, str(path), file_digest(path)))
    assert not sources_changed((PINNED, file), report)
    path.write_text("two")
    assert sources_changed((PINNED, file), report)


def test_a_file_that_left_a_glob_beside_pinned_packages_is_noticed(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    files = FileSource(kind="file", path=str(tmp_path / "*.txt"), format="text", licence="MIT")
    noted = [(files.path, raw.name, raw.digest) for raw in raw_files(files)]
    note(report, ("some==1.0", "a.txt", "b" * 64), *noted)
    assert not sources_changed((PINNED, files), report)
    (tmp_path / "b.txt").unlink()
    assert sources_changed((PINNED, files), report)


def test_a_file_that_left_its_folder_is_noticed(tmp_path: Path) -> None:
    folder, report = tmp_path / "chats", tmp_path / "report.json"
    folder.mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text(name)
    source = FileSource(
        kind="file", path=str(folder), members=("*.jsonl",), format="messages", licence="MIT"
    )
    noted = [{"name": raw.name, "sha256": raw.digest} for raw in raw_files(source)]
    report.write_text(json.dumps({"files": noted}))
    assert not sources_changed((source,), report)
    (folder / "b.jsonl").unlink()
    assert sources_changed((source,), report)


INGEST = """
import hashlib, json, pathlib
content = pathlib.Path("chat.jsonl").read_bytes()
pathlib.Path("records").write_bytes(content)
noted = {"name": "chat.jsonl", "sha256": hashlib.sha256(content).hexdigest()}
pathlib.Path("report.json").write_text(json.dumps({"files": [noted]}))
"""
STAGES = f"""
stages:
  ingest:
    foreach: [chat]
    do:
      cmd: {shlex.quote(sys.executable)} ingest.py
      params: [test_share]
      outs: [records]
      metrics: ["report.json": {{cache: false}}]
"""


def test_what_was_made_of_another_file_under_the_same_settings_does_not_come_back(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC's run cache knows the settings only, not the file that was read."""
    monkeypatch.chdir(tmp_path)
    source = FileSource(kind="file", path="chat.jsonl", format="messages", licence="MIT")
    sources = params.ingest.model_copy(update={"sources": {"chat": source}})
    params = params.model_copy(update={"ingest": sources})
    Path("dvc.yaml").write_text(STAGES)
    Path("ingest.py").write_text(INGEST)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, check=True)

    def run(share: float, content: str) -> str:
        Path("params.yaml").write_text(f"test_share: {share}\n")
        Path("chat.jsonl").write_text(content)
        forced = "ingest@chat" in current_graph(tmp_path, params).forced
        listener = Listener(lambda line: None, lambda state: None)
        return Processes(tmp_path, terminal=False).run("ingest@chat", listener, force=forced)

    assert run(0.1, "first") == "ran"
    assert run(0.2, "first and second") == "ran"
    assert run(0.1, "first and second") == "ran"
    assert Path("records").read_text() == "first and second"
    assert run(0.1, "first and second") == "unchanged"
