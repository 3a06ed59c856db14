from __future__ import annotations

import json
from pathlib import Path

from dialogue.config import FileSource, WheelSource
from dialogue.digests import file_digest
from tasks.freshness import source_changed


def test_a_file_that_grew_is_noticed(tmp_path: Path) -> None:
    path, report = tmp_path / "chat.jsonl", tmp_path / "report.json"
    source = FileSource(kind="file", path=str(path), format="messages", licence="MIT")
    path.write_text("one\n")
    assert not source_changed(source, report), "ingest has not run yet: DVC knows that"
    report.write_text(json.dumps({"files": [{"name": str(path), "sha256": file_digest(path)}]}))
    assert not source_changed(source, report)
    path.write_text("one\ntwo\n")
    assert source_changed(source, report)
    path.unlink()
    assert not source_changed(source, report), "what is missing is for ingest to name"


def test_a_pinned_package_never_changes(tmp_path: Path) -> None:
    source = WheelSource(
        kind="wheel",
        package="some==1.0",
        sha256="a" * 64,
        members=("a.json",),
        format="messages",
        licence="MIT",
    )
    assert not source_changed(source, tmp_path / "report.json")
