from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dialogue import sources
from dialogue.config import FileSource, Params
from dialogue.digests import file_digest
from dialogue.fingerprints import SCHEMA, Fingerprints, read_fingerprints
from dialogue.instructions import plain_instructions
from dialogue.leakage import Place, leaks
from dialogue.log import SilentLog
from dialogue.manifest import verify_manifest
from dialogue.near_duplicates import signatures
from dialogue.texts import read_texts
from tasks.gather import gather


def gathered(params: Params, folder: Path, *documents: str) -> dict[str, Any]:
    path = folder / "text.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    source = FileSource(kind="file", path=str(path), format="text_column", licence="CC0-1.0")
    settings = params.gather.model_copy(update={"sources": (source,)})
    gather(
        params.model_copy(update={"gather": settings}),
        SilentLog(),
        text=folder / "text",
        fingerprints=folder / "fingerprints",
        report=folder / "report.json",
    )
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


BOOK = "It was the best of times, it was the worst of times, it was the age of wisdom."


def test_every_text_is_kept_once_and_without_personal_data(params: Params, tmp_path: Path) -> None:
    report = gathered(params, tmp_path, BOOK, "Write to ada@example.org.", BOOK)
    texts = list(read_texts(tmp_path / "text" / "text.parquet"))
    assert [each.text for each in texts] == [BOOK, "Write to [EMAIL]."]
    assert {each.licence for each in texts} == {"CC0-1.0"}
    assert report["num_documents"] == 2
    assert report["num_duplicates"] == 1
    assert report["scrubbed"]["email"] == 1
    assert report["files"][0]["sha256"] == file_digest(tmp_path / "text.jsonl")
    verify_manifest(tmp_path / "text")


def test_what_was_read_can_be_recognised_later(params: Params, tmp_path: Path) -> None:
    gathered(params, tmp_path, BOOK)
    text = read_fingerprints(tmp_path / "fingerprints").text
    assert text is not None
    assert len(text) == len(BOOK.split()) - 8 + 1


@pytest.mark.parametrize("asked", [True, False])
def test_an_instruction_that_a_domain_teaches_is_a_leak(
    params: Params, tmp_path: Path, asked: bool
) -> None:
    settings = params.evaluate.model_copy(update={"instructions": asked})
    gathered(params.model_copy(update={"evaluate": settings}), tmp_path, BOOK)
    memory = read_fingerprints(tmp_path / "fingerprints")
    assert [each.domain for each in memory.domains] == ["instructions"][: int(asked)]
    instruction = plain_instructions()[7]
    texts = [["Hello there, how are you today?", "Well."], [t.text for t in instruction.turns]]
    facts = pa.table(
        {"dialogue_id": ["a", "b"], "origin": ["f:1", "f:2"], "split": ["train", "train"]},
        schema=SCHEMA,
    )
    own = Fingerprints("support", facts, signatures(texts))
    found = [(leak.training.origin, leak.held_out) for leak in leaks(own, memory.domains, 0.7)]
    place = Place("instructions", "test", instruction.id, "plain.jsonl:8")
    assert found == [("f:2", place)][: int(asked)]


def test_equal_input_gives_equal_bytes(params: Params, tmp_path: Path) -> None:
    digests = []
    for _ in range(2):
        gathered(params, tmp_path, BOOK, "another one")
        digests.append([verify_manifest(tmp_path / name) for name in ("text", "fingerprints")])
    assert digests[0] == digests[1]


def test_the_report_names_the_bytes_that_were_read(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, path = sources.read_text, tmp_path / "text.jsonl"
    was: list[str] = []

    def changing(*arguments: Any, **settings: Any) -> Iterator[str]:
        yield from read(*arguments, **settings)
        was.append(file_digest(path))
        with path.open("a") as file:
            file.write(json.dumps({"text": "late"}))

    monkeypatch.setattr(sources, "read_text", changing)
    report = gathered(params, tmp_path, BOOK)
    assert [each["sha256"] for each in report["files"]] == was != [file_digest(path)]


def test_a_source_without_text_is_told(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"text.jsonl: the source's file is empty"):
        gathered(params, tmp_path)
    assert not list(tmp_path.glob("text/*"))
