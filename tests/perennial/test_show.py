"""`perennial show` as a person meets it: in a pipe, on a terminal, and when nothing is there."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from dialogue.config import load_params
from dialogue.log import SilentLog
from dialogue.records import Dialogue, Reject, Split, Turn, write_dialogues, write_rejects
from perennial.app import application
from tasks.encode import encode

Show = Callable[..., str]

ROOT = Path(__file__).parents[2]
LONG = tuple(
    Turn("user" if number % 2 == 0 else "assistant", f"turn {number} " + "so long " * 8)
    for number in range(8)
)


def dialogue(name: str, split: Split, turns: tuple[Turn, ...]) -> Dialogue:
    return Dialogue(name, turns, "support", split, "faq==1.0", f"faq.json:{name}", "MIT", "d" * 64)


def pair(ask: str, say: str) -> tuple[Turn, ...]:
    return (Turn("user", ask), Turn("assistant", say))


DIALOGUES = [
    dialogue("aa01", "train", pair("hello [bold]there[/bold]", "hi \x1b[31mred")),
    dialogue("aa02", "train", LONG),
    dialogue("bb03", "test", pair("why?", "because")),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("show")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    (folder / ".dvc").mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    tokenizer.save_pretrained(folder / "models" / "tokenizer")
    valid = folder / "data" / "valid" / "support"
    write_dialogues(valid / "dialogues.parquet", DIALOGUES)
    rows = [Reject("faq.json:7", "not JSON: [x]", "{oops\x1b[2J"), Reject("faq.json:9", "b", "")]
    write_rejects(valid / "rejects.parquet", rows)
    encode(
        load_params(ROOT / "params.yaml"),
        SilentLog(),
        domain="support",
        valid=valid,
        tokenizer=folder / "models" / "tokenizer",
        encoded=folder / "data" / "encoded" / "support",
        report=folder / "report.json",
    )
    return folder


@pytest.fixture
def show(project: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Runs the command in this process, for torch takes its time: what it prints, or its error."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words: str) -> str:
        result = CliRunner().invoke(application(), ["show", *words])
        return str(result.exception) if result.exception else result.stdout

    return call


def test_a_pipe_gets_what_is_learned_in_brackets(show: Show) -> None:
    printed = show("support", "--limit", "2")
    assert "\x1b" not in printed
    first, second = printed.split("train 1")
    assert "train 0  aa01\nfaq==1.0  faq.json:aa01  MIT\n" in first
    assert "<|im_start|>user\nhello [bold]there[/bold]<|im_end|>\n" in first
    assert "<|im_start|>assistant\n⟦hi ␛[31mred<|im_end|>⟧\n" in first
    assert "cut:" not in first
    tokens, cut = (
        int(re.search(pattern, second)[1])  # type: ignore[index]
        for pattern in (r"(\d+) tokens, ", r"cut: (\d+) more tokens")
    )
    assert tokens <= 192 < tokens + cut
    assert "turn 0" not in second
    assert "turn 7" in second


def test_a_terminal_gets_colours(project: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "perennial", "show", "support", "0"],
        cwd=project,
        env=environment | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 4096):
            written += chunk
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    shown = written.decode()
    assert "\x1b[1;32mhi ␛[31mred<|im_end|>\x1b[0m" in shown
    assert "⟦" not in shown
    assert "\x1b[31m" not in shown.replace("␛[31m", "")


def test_ids_are_found_in_every_split(show: Show) -> None:
    assert "test 0  bb03" in show("support", "bb")
    assert "aa02" in show("support", "1")
    assert "and 1 more" in show("support", "aa", "--limit", "1")
    assert "bb03" in show("support", "0", "--split", "test")


def test_rows_set_aside_have_their_line_and_reason(show: Show) -> None:
    assert show("support", "--rejects", "--limit", "1").splitlines() == [
        "fault  faq.json:7: not JSON: [x]",
        "  {oops␛[2J",
        "and 1 more; `--limit` shows them",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bank"], "bank: no such domain in the curriculum; there are chitchat, support"),
        (["chitchat"], "chitchat: nothing is encoded yet; run `dvc repro encode@chitchat`"),
        (["chitchat", "--rejects"], "chitchat: nothing is ingested yet; run `dvc repro ingest@"),
        (["support", "zz"], "support: no dialogue `zz` in train, validation, test; give an index"),
        (["support", "0", "--rejects"], "--rejects: rows that were set aside have no index"),
    ],
)
def test_what_is_not_there_is_one_line(show: Show, words: list[str], said: str) -> None:
    (line,) = show(*words).splitlines()
    assert line.startswith(said)
