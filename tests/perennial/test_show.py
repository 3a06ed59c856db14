"""`perennial show` on a small project whose dialogues were really encoded."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dialogue.config import Params, load_params
from dialogue.log import SilentLog
from dialogue.manifest import write_manifest
from dialogue.records import Dialogue, Reject, Split, Turn, write_dialogues, write_rejects
from perennial.app import application
from tasks.encode import encode

ROOT = Path(__file__).parents[2]
LONG = "and so on it went " * 10


def dialogue(number: int, split: Split, answer: str) -> Dialogue:
    turns = (
        Turn("user", f"old question {number}"),
        Turn("assistant", f"old answer {number}"),
        Turn("user", "and \x1b[31mnow"),
        Turn("assistant", answer),
    )
    identity = f"{number}{number}cafe0123456789"
    return Dialogue(identity, turns, "support", split, "faq==1.0", f"faq:{number}", "MIT", "d" * 64)


DIALOGUES = [
    dialogue(1, "train", "short"),
    dialogue(2, "test", "tested"),
    dialogue(3, "train", LONG),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("show")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    (folder / ".dvc").mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    shutil.copytree(tiny_model, folder / "models" / "tokenizer")
    valid = folder / "data" / "valid" / "support"
    write_dialogues(valid / "dialogues.parquet", DIALOGUES)
    rejects = [
        Reject("faq:7", "no reply: ends here", "hello?\nanyone", "scope"),
        Reject("faq:8", "duplicate of faq:1", "old question", "duplicate"),
    ]
    write_rejects(valid / "rejects.parquet", rejects)
    write_manifest(valid)
    encoded(folder, load_params(folder / "params.yaml"))
    return folder


def encoded(folder: Path, params: Params) -> None:
    encode(
        params.model_copy(update={"encode": params.encode.model_copy(update={"max_tokens": 128})}),
        SilentLog(),
        domain="support",
        valid=folder / "data" / "valid" / "support",
        tokenizer=folder / "models" / "tokenizer",
        encoded=folder / "data" / "encoded" / "support",
        report=folder / "report.json",
    )


@pytest.fixture
def project(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


def show(*words: str, **environment: str) -> str:
    done = CliRunner(env={"COLUMNS": "100", **environment}).invoke(
        application(), ["show", *words], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.stdout


def test_what_is_learned_stands_in_brackets_where_there_is_no_colour(project: Path) -> None:
    shown = show("support", "0")
    assert "11cafe0123456789 · train 0" in shown
    assert "faq:1 of faq==1.0, licence MIT" in shown
    assert re.search(r"\d+ tokens, \d+ of them learned", shown)
    assert "<|im_start|>assistant\n⟦short<|im_end|>⟧" in shown
    assert "<|im_start|>user\nold question 1<|im_end|>" in shown
    assert "⟪" not in shown
    assert "\x1b" not in shown, "what a source holds colours no terminal"


def test_a_terminal_gets_colours(project: Path) -> None:
    shown = show("support", "0", FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[1;32mshort<|im_end|>" in shown
    assert "⟦" not in shown


def test_what_was_cut_off_is_shown(project: Path) -> None:
    shown = show("support", "1")
    assert re.search(r"cut off: \d+ tokens before and \d+ behind", shown)
    assert shown.count("⟪") == 2
    read = re.sub(r"[⟦⟧⟪⟫]", "", shown)
    assert "<|im_start|>user\nold question 3<|im_end|>" in read
    assert LONG.strip() in read


def test_an_id_is_found_in_any_split(project: Path) -> None:
    assert "22cafe0123456789 · test 0" in show("support", "22cafe")
    assert "22cafe0123456789 · test 0" in show("support", "22"), "of digits alone, no such place"
    assert "⟦tested<|im_end|>⟧" in show("support", "--split", "test")


def test_the_limit_says_what_is_left(project: Path) -> None:
    shown = show("support", "--limit", "1")
    assert "1 of 2 shown; `--limit 2` shows all" in shown
    assert "train 1" not in shown


def test_rows_that_were_set_aside_with_place_and_reason(project: Path) -> None:
    shown = show("support", "--rejects")
    assert "faq:7  scope: no reply: ends here\nhello?⏎anyone" in shown
    assert "2 rows were set aside: 1 scope, 1 duplicate" in shown
    assert "1 of 2 shown" in show("support", "--rejects", "--limit", "1")


def test_a_record_that_changed_is_noticed(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "changed")
    path = folder / "data" / "valid" / "support" / "dialogues.parquet"
    changed = dialogue(1, "train", "other words")
    write_dialogues(path, [changed])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert "its record has changed since" in show("support", "0")
        assert "its record is no longer there" in show("support", "1")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["suport"], "suport: no such domain; there are chitchat, support, assistant"),
        (["chitchat"], "nothing is encoded yet; run `dvc repro encode@chitchat`"),
        (["chitchat", "--rejects"], "nothing was read yet; run `dvc repro ingest@chitchat`"),
        (["support", "--split", "tset"], "no such split; there are train, validation, test"),
        (["support", "9"], "no such dialogue; there are 2 in train, counted from 0"),
        (["support", "ffff"], "no dialogue's id begins so"),
        (["support", "--split", "validation"], "no dialogue is there: 0 in validation"),
        (["support", "0", "--rejects"], "have neither id nor split"),
    ],
)
def test_what_is_not_there_is_said(project: Path, words: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        show(*words)


def test_a_damaged_graph_is_named(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "merging")
    graph = folder / "dvc.yaml"
    graph.write_text("<<<<<<< HEAD\n" + graph.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(ValueError, match=r"^dvc\.yaml: not valid YAML: .* line \d"):
            show("support")


@pytest.mark.parametrize("left", ["", "stages: {}\n", "stages: [ingest]\n"])
def test_a_graph_without_the_stages_is_named(made: Path, tmp_path: Path, left: str) -> None:
    folder = shutil.copytree(made, tmp_path / "emptied")
    (folder / "dvc.yaml").write_text(left)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(ValueError, match=r"^dvc\.yaml: a stage is missing; restore it"):
            show("support")


def test_help_has_an_example() -> None:
    assert "Example: perennial show support" in show("--help")
