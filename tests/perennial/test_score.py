"""`perennial score` on files, with small real models in place of those of the registry."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dialogue.appraisal import COMPOSITE, COPIED, FLOOR, STANDARDS, Appraiser
from dialogue.appraisal.reading import Reader
from dialogue.model import load_model
from dialogue.tokenization import load_tokenizer
from perennial.app import application
from perennial.score import _MEASURES, score_command
from tests.dialogue.appraisal.test_appraisal import HEAD, encode

ROWS: list[dict[str, Any]] = [
    {"context": ["hello there"], "response": "how are you?", "id": 7},
    {"context": [], "response": "hello"},
]


@pytest.fixture(autouse=True)
def _small(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_model)
    model.train(False)
    small = Appraiser(Reader(model, load_tokenizer(tiny_model)), encode, HEAD)
    monkeypatch.setattr("dialogue.appraisal.load_appraiser", lambda: small)


def lines(*rows: object) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_each_line_comes_back_with_its_measures(tmp_path: Path) -> None:
    file, output = tmp_path / "replies.jsonl", tmp_path / "scored.jsonl"
    file.write_text(lines(*ROWS) + "\n")
    other = tmp_path / f".partial-{output.name}"
    other.write_text("of another run\n")
    done = CliRunner().invoke(application(), ["score", str(file), "--output", str(output)])
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [{k: row[k] for k in given} for row, given in zip(found, ROWS, strict=True)] == ROWS
    assert all({*STANDARDS, COPIED, COMPOSITE} <= row.keys() for row in found)
    assert other.read_text() == "of another run\n"
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
        ('{"context": [], "response": 7}', "line 2: `response` is no text"),
        ('{"context": ["\\ud800"], "response": "hi"}', "line 2: not UTF-8"),
        ('{"context": [], "response": "hi", "n": [-1e999]}', "line 2: -1e999 is no finite number"),
        ('{"context": [], "response": "hi", "n": NaN}', "line 2: NaN is no finite number"),
        ('{"context": [], "response": "hi", "fit": 1, "copied": 0}', "line 2: `fit`, `copied`"),
        ('{"context": [], "response": "hi", "composite": 1}', "line 2: `composite` names"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path: Path, line: str, fault: str) -> None:
    file, output = tmp_path / "replies.jsonl", tmp_path / "scored.jsonl"
    file.write_text(lines(ROWS[0]) + line + "\n")
    done = CliRunner().invoke(application(), ["score", str(file), "-o", str(output)])
    assert isinstance(done.exception, ValueError)
    assert fault in str(done.exception)
    assert not output.exists()


def test_the_names_that_no_field_may_have_are_those_that_are_written(tmp_path: Path) -> None:
    file = tmp_path / "replies.jsonl"
    file.write_text(lines(ROWS[1]))
    done = CliRunner().invoke(application(), ["score", str(file)])
    (found,) = (json.loads(line) for line in done.stdout.splitlines())
    assert found.keys() - ROWS[1].keys() == set(_MEASURES)


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("nodir/out.jsonl", "nodir/out.jsonl: there is no folder .*nodir; make it"),
        (".", ": not a file; name one"),
        ("replies.jsonl/out.jsonl", "there is no folder"),
        ("n" * 255, "cannot be written .File name too long.; name another place"),
    ],
)
def test_where_nothing_can_be_written_is_said_before_models_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, fault: str
) -> None:
    monkeypatch.setattr("dialogue.appraisal.load_appraiser", lambda: pytest.fail("loaded"))
    file = tmp_path / "replies.jsonl"
    file.write_text(lines(*ROWS))
    with pytest.raises(ValueError, match=fault):
        score_command(file, tmp_path / place)
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_file_is_not_written_over(tmp_path: Path) -> None:
    file, pipe = tmp_path / "replies.jsonl", tmp_path / "pipe"
    file.write_text(lines(*ROWS))
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="pipe: not a file; name one"):
        score_command(file, pipe)
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    "fault", [KeyboardInterrupt(), OSError("the model cannot be read")], ids=["Ctrl-C", "model"]
)
def test_what_ends_the_appraisal_leaves_no_file_and_is_no_fault_of_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    monkeypatch.setattr("perennial.score._AT_ONCE", 1)
    file, output = tmp_path / "replies.jsonl", tmp_path / "scored.jsonl"
    file.write_text(lines(*ROWS))
    output.write_text("of an earlier time\n")
    whole = Appraiser.appraise
    partials: list[str] = []

    def appraise(*arguments: Any) -> Any:
        (partial,) = tmp_path.glob(".partial-*")
        partials.append(partial.read_text())
        if len(partials) == 2:
            raise fault
        return whole(*arguments)

    monkeypatch.setattr(Appraiser, "appraise", appraise)
    with pytest.raises(type(fault)) as caught:
        score_command(file, output)
    assert caught.value is fault
    assert [len(text.splitlines()) for text in partials] == [0, 1]
    assert sorted(tmp_path.iterdir()) == [file, output]
    assert output.read_text() == "of an earlier time\n"


def test_a_full_disk_is_named(tmp_path: Path, disk: Callable[[int], Path]) -> None:
    file, output = tmp_path / "replies.jsonl", disk(4) / "scored.jsonl"
    file.write_text(lines({**ROWS[0], "note": "n" * 20_000}))
    with pytest.raises(OSError, match=r"scored\.jsonl: cannot be written .*No space.*make room"):
        score_command(file, output)
    assert list(output.parent.iterdir()) == []


def test_a_file_of_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    done = CliRunner().invoke(application(), ["score", str(tmp_path / "empty.jsonl")])
    assert "no line" in str(done.exception)


def test_what_is_no_utf_8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "replies.jsonl"
    file.write_bytes(lines(ROWS[0]).encode() + b'{"context": [], "response": "caf\xe9"}\n')
    done = CliRunner().invoke(application(), ["score", str(file)])
    assert "line 2: not UTF-8" in str(done.exception)


def test_hard_lines_are_appraised(tmp_path: Path) -> None:
    """Nothing said, one turn, another script, a line separator, and thousands of long turns."""
    hard = [
        {"context": ["hello"], "response": ""},
        {"context": [""], "response": "hello"},
        {"context": ["你好吗？"], "response": "我很好，谢谢。"},
        {"context": ["hello\u2028there"], "response": "one\n\ntwo"},
        {"context": ["hello there " * 300] * 3_000, "response": "fine " * 2_000},
    ]
    file = tmp_path / "hard.jsonl"
    file.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in hard))
    done = CliRunner().invoke(application(), ["score", str(file)])
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert len(found) == len(hard)
    assert all(math.isfinite(row[name]) for row in found for name in (*STANDARDS, COMPOSITE))
    assert found[0][COMPOSITE] == FLOOR < min(row[COMPOSITE] for row in found[1:])


def test_what_is_appraised_is_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A failure in the second part leaves the lines of the first."""
    monkeypatch.setattr("perennial.score._AT_ONCE", 2)
    file = tmp_path / "replies.jsonl"
    file.write_text(lines(*ROWS, *ROWS))
    whole = Appraiser.appraise
    calls: list[int] = []

    def appraise(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(Appraiser, "appraise", appraise)
    with pytest.raises(KeyboardInterrupt):
        score_command(file, None)
    assert len(capfd.readouterr().out.splitlines()) == 2
