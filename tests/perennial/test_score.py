"""`perennial score` on files, with small real models in place of those of the registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dialogue.appraisal import COMPOSITE, COPIED, STANDARDS, Appraiser
from dialogue.model import load_model, load_tokenizer
from perennial.app import application
from tests.dialogue.test_appraisal import encode

ROWS = [
    {"context": ["hello there"], "response": "how are you?", "id": 7},
    {"context": [], "response": "hello"},
]


@pytest.fixture(autouse=True)
def _small(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_model)
    model.train(False)
    small = Appraiser(model, load_tokenizer(tiny_model), encode)
    monkeypatch.setattr("dialogue.appraisal.load_appraiser", lambda: small)


def lines(*rows: object) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_each_line_comes_back_with_its_measures(tmp_path: Path) -> None:
    file, output = tmp_path / "replies.jsonl", tmp_path / "scored.jsonl"
    file.write_text(lines(*ROWS) + "\n")
    done = CliRunner().invoke(application(), ["score", str(file), "--output", str(output)])
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [{k: row[k] for k in given} for row, given in zip(found, ROWS, strict=True)] == ROWS
    assert all({*STANDARDS, COPIED, COMPOSITE} <= row.keys() for row in found)
    assert "composite" in done.stderr, "the summary stands beside the output"
    piped = CliRunner().invoke(application(), ["score", "-"], input=lines(*ROWS))
    assert [json.loads(line) for line in piped.stdout.splitlines()] == found


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "line 2: "),
        ("[]", "line 2: not an object"),
        ('{"response": "hi"}', "line 2: no `context`; give a list of turns"),
        ('{"context": "hi", "response": "hi"}', "line 2: `context` is no list of texts"),
        ('{"context": [], "response": " "}', "line 2: `response` is no text"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path: Path, line: str, fault: str) -> None:
    file, output = tmp_path / "replies.jsonl", tmp_path / "scored.jsonl"
    file.write_text(lines(ROWS[0]) + line + "\n")
    done = CliRunner().invoke(application(), ["score", str(file), "-o", str(output)])
    assert isinstance(done.exception, ValueError)
    assert fault in str(done.exception)
    assert not output.exists()


def test_a_file_of_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    done = CliRunner().invoke(application(), ["score", str(tmp_path / "empty.jsonl")])
    assert "no line" in str(done.exception)
