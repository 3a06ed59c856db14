from __future__ import annotations

import json
from pathlib import Path

from dialogue.config import FileSource, WheelSource
from dialogue.digests import file_digest
from dialogue.sources import raw_files
from tasks.freshness import sources_changed


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
    assert not sources_changed((source,), report), "what is missing is for ingest to name"


def test_a_pinned_package_never_changes(tmp_path: Path) -> None:
    source = WheelSource(
        kind="wheel",
        package="some==1.0",
        sha256="a" * 64,
        members=("a.json",),
        format="messages",
        licence="MIT",
    )
    assert not sources_changed((source,), tmp_path / "report.json")


def test_a_file_beside_pinned_packages_is_noticed_too(tmp_path: Path) -> None:
    path, report = tmp_path / "text.txt", tmp_path / "report.json"
    file = FileSource(kind="file", path=str(path), format="text", licence="MIT")
    pinned = WheelSource(
        kind="wheel",
        package="some==1.0",
        sha256="a" * 64,
        members=("a.txt",),
        format="text",
        licence="MIT",
    )
    path.write_text("one")
    noted = [("a.txt", "b" * 64), (str(path), file_digest(path))]
    report.write_text(json.dumps({"files": [{"name": n, "sha256": d} for n, d in noted]}))
    assert not sources_changed((pinned, file), report)
    path.write_text("two")
    assert sources_changed((pinned, file), report)


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
