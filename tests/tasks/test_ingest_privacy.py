"""None of 500 planted personal items gets past ingestion: not into data, reports or logs."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from dialogue import sources
from dialogue.config import FileSource, Params
from dialogue.containment import grams
from dialogue.fingerprints import write_fingerprints
from dialogue.log import SilentLog, Value
from dialogue.privacy import Scrubber
from dialogue.records import Reject, read_dialogues, read_rejects
from tasks.ingest import ingest
from tests.dialogue import privacy_corpus as corpus

ROOT = Path(__file__).parents[2]


class Heard(SilentLog):
    """A log that writes down everything it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def params(self, values: Mapping[str, Value]) -> None:
        self.told.append(values)

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        self.told.append(values)

    def tags(self, values: Mapping[str, str]) -> None:
        self.told.append(values)

    def dataset(self, name: str, digest: str, path: Path, context: str) -> None:
        self.told.append((name, digest, path, context))

    def artifact(self, path: Path) -> None:
        self.told.append(path)


@pytest.fixture(scope="module")
def examples() -> list[corpus.Example]:
    return corpus.personal()


@pytest.fixture
def planted(examples: list[corpus.Example], tmp_path: Path) -> Path:
    """Dialogues that hold an item on either side, and rows of every sort that is set aside."""
    lines = []
    for number, example in enumerate(examples):
        turns = [
            {"role": "user", "content": f"{number}: {example.text}"},
            {"role": "assistant", "content": f"you said: {example.text}"},
        ]
        line = json.dumps({"messages": turns}, ensure_ascii=number % 2 == 0)
        sorts = {
            3: line[: len(line) - 9],
            5: json.dumps({"messages": turns[:1]}),
            7: json.dumps({"messages": example.text}),
            9: json.dumps({"text": example.text}),
            11: json.dumps({"messages": [{"role": example.text, "content": "x"}, *turns]}),
            13: f"{line}\n{line}",
        }
        lines.append(sorts.get(number % 15, line))
    path = tmp_path / "planted.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_no_planted_item_is_in_data_reports_or_logs(
    params: Params,
    planted: Path,
    examples: list[corpus.Example],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = FileSource(
        kind="file", path=str(planted), format="messages", licence="MIT", limit=None
    )
    settings = params.ingest.model_copy(update={"sources": {"chat": source}})
    log, out = Heard(), tmp_path / "out"
    with caplog.at_level(logging.DEBUG):
        ingest(
            params.model_copy(update={"ingest": settings}),
            log,
            domain="chat",
            records=out / "records",
            report=out / "report.json",
        )
    dialogues = list(read_dialogues(out / "records" / "dialogues.parquet"))
    rejects = list(read_rejects(out / "records" / "rejects.parquet"))
    assert len(dialogues) > 250
    assert len(rejects) > 100
    written = "\n".join((*_strings(out), *capfd.readouterr(), caplog.text, repr(log.told)))
    assert "[EMAIL]" in written  # Were nothing read back, nothing would be missed either.
    assert [example.item for example in examples if example.item in written] == []


def test_no_planted_item_is_in_tracking_or_on_the_page(
    planted: Path, examples: list[corpus.Example], tmp_path: Path
) -> None:
    """Both steps as DVC starts them, with MLflow's own database and artefacts."""
    project = tmp_path / "project"
    project.mkdir()
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    source = {"kind": "file", "path": str(planted), "format": "messages", "licence": "MIT"}
    settings["curriculum"] = {"chat": {"after": "base"}}
    settings["ingest"]["sources"] = {"chat": source}
    settings["validate"]["embedder"] = None
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    write_fingerprints(project / "base", text=grams(["some text"]))
    ingested = _step(project, "ingest", records="records", report="ingest.json")
    assert ingested.returncode == 0, ingested.stderr
    validated = _step(
        project,
        "validate",
        records="records",
        earlier="base",
        valid="valid",
        fingerprints="fingerprints",
        docs="docs",
        report="validate.json",
        profile="profile.json",
    )
    assert (project / "docs" / "index.html").is_file(), validated.stderr
    assert (project / "mlflow.db").is_file()
    (project / "params.yaml").unlink()
    said = (ingested.stdout, ingested.stderr, validated.stdout, validated.stderr)
    written = "\n".join((*_strings(project), *said))
    assert "[EMAIL]" in written
    assert [example.item for example in examples if example.item in written] == []


_FIRST_ROW = "ann.lee@example.org,+49 170 1234567,hello"


def test_a_table_without_a_header_tells_no_one_of_its_first_row(tmp_path: Path) -> None:
    """The fault goes to the terminal, and to MLflow as the run's note."""
    project = tmp_path / "project"
    project.mkdir()
    table = tmp_path / "chat.csv"
    table.write_text(f"{_FIRST_ROW}\nb@example.org,+49 170 7654321,hi\n")
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["curriculum"] = {"chat": {"after": "base"}}
    columns = {"prompt": "question", "response": "answer"}
    source = {"kind": "file", "path": str(table), "format": "table", "licence": "MIT"}
    settings["ingest"]["sources"] = {"chat": {**source, "columns": columns}}
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    ended = _step(project, "ingest", records="records", report="ingest.json")
    assert ended.returncode == 2
    assert "does the file have a header line?" in ended.stderr
    assert "[EMAIL], [PHONE]" in ended.stderr
    written = "\n".join((*_strings(project), ended.stdout, ended.stderr))
    assert "does the file have a header line?" in written.replace(ended.stderr, "")  # The note.
    assert "ann.lee" not in written
    assert "1234567" not in written


@pytest.mark.parametrize("scrub", [(), ("phone",)])
def test_errors_of_sources_hold_no_personal_data(tmp_path: Path, scrub: tuple[str, ...]) -> None:
    def fault(content: str, **columns: str) -> str:
        path = tmp_path / "chat.csv"
        path.write_text(content)
        source = FileSource(
            kind="file", path=str(path), format="table", licence="MIT", limit=None, columns=columns
        )
        with pytest.raises(ValueError, match=r"chat\.csv") as raised:
            list(
                sources.read(
                    source,
                    sources.raw_files(source),
                    "chat",
                    test_share=0.2,
                    validation_share=0.1,
                    scrubber=Scrubber(scrub),
                    max_row_bytes=1 << 20,
                )
            )
        assert raised.value.__suppress_context__
        return str(raised.value)

    said = fault(f"{_FIRST_ROW}\n", prompt="question", response="answer")
    assert "only [EMAIL], [PHONE], hello; correct" in said
    keyed = "who,role,text\n" + "".join(
        f"{who}@example.org,{role},hi\n" for who in "aba" for role in ("user", "assistant")
    )
    said = fault(keyed, dialogue="who", role="role", text="text")
    assert "dialogue '[EMAIL]' goes on after another one began" in said


def test_a_line_that_is_not_utf_8_keeps_no_excerpt(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_bytes(b'{"messages": "tel 0170\xa01234567"}\n')
    source = FileSource(kind="file", path=str(path), format="messages", licence="MIT", limit=None)
    (row,) = sources.read(
        source,
        sources.raw_files(source),
        "chat",
        test_share=0.2,
        validation_share=0.1,
        scrubber=Scrubber(("phone",)),
        max_row_bytes=1 << 20,
    )
    assert isinstance(row, Reject)
    assert (row.reason, row.excerpt) == ("not UTF-8: byte 23 of the line", "")


def _step(project: Path, step: str, **paths: str) -> subprocess.CompletedProcess[str]:
    options = [word for name, path in paths.items() for word in (f"--{name}", path)]
    return subprocess.run(
        [sys.executable, "-m", f"tasks.{step}", "--domain", "chat", *options],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def _strings(folder: Path) -> Iterator[str]:
    """Every string of every file in the folder, and every file's bytes as they are."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        yield path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield str(table.schema.metadata)
            for row in table.to_pylist():
                yield from map(str, row.values())
        if path.suffix == ".json":
            yield json.dumps(json.loads(path.read_text(encoding="utf-8")), ensure_ascii=False)
