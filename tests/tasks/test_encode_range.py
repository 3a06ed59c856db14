"""Two processes that share no memory, as two machines would, against one that does it all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dialogue import records
from dialogue.config import Params
from dialogue.log import SilentLog
from dialogue.manifest import write_manifest
from dialogue.records import Dialogue, Split, Turn, write_dialogues
from tasks.encode import encode
from tasks.encode_range import encode_part, join

ROOT = Path(__file__).parents[2]


def dialogue(number: int) -> Dialogue:
    split: Split = ("train", "test", "validation")[number % 7 % 3]  # type: ignore[assignment]
    turns = (
        Turn("user", f"is it {number}, or isn't it? " * (number % 5 + 1)),
        Turn("assistant", f"it's {number * number}. 你好"),
    )
    return Dialogue(f"{number:016x}", turns, "chat", split, "s", "1", "MIT", "d" * 64)


@pytest.fixture
def valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(records, "DIALOGUES_PER_GROUP", 10)
    write_dialogues(tmp_path / "valid" / "dialogues.parquet", map(dialogue, range(45)))
    write_manifest(tmp_path / "valid")
    return tmp_path / "valid"


def encode_range(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.encode_range", *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def part(valid: Path, tokenizer: Path, groups: str, folder: Path) -> subprocess.Popen[str]:
    options = ("--valid", valid, "--tokenizer", tokenizer, "--groups", groups, "--part", folder)
    return encode_range("part", "--domain", "chat", *options)


def test_two_processes_write_the_bytes_of_one(
    params: Params, valid: Path, tiny_model: Path, tmp_path: Path
) -> None:
    encode(
        params,
        SilentLog(),
        domain="chat",
        valid=valid,
        tokenizer=tiny_model,
        encoded=tmp_path / "whole",
        report=tmp_path / "report.json",
    )
    parts = [tmp_path / "parts" / name for name in ("0", "1")]
    processes = [
        part(valid, tiny_model, groups, folder)
        for groups, folder in zip(("0:2", "2:5"), parts, strict=True)
    ]
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    join(parts[::-1], tmp_path / "joined", tmp_path / "joined.json")
    assert (tmp_path / "joined.json").read_bytes() == (tmp_path / "report.json").read_bytes()
    files = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.*")]
    assert len(files) == 15
    for name in files:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "joined" / name).read_bytes()


@pytest.mark.parametrize(
    ("groups", "said"),
    [("3:9", "no row groups 3:9; there are 5"), ("3", "--groups 3: give row groups as FIRST:END")],
)
def test_a_range_that_is_none_is_one_line(
    valid: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    groups: str,
    said: str,
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match=re.escape(said)):
        encode_part("chat", groups, valid, tiny_model, tmp_path / "part")


def test_a_range_that_is_left_out_is_told(
    valid: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    parts = [tmp_path / name for name in ("0", "1")]
    for groups, folder in zip(("0:2", "3:5"), parts, strict=True):
        encode_part("chat", groups, valid, tiny_model, folder)
    with pytest.raises(ValueError, match=r"row groups 2:3 are missing: .* each of 0:5 once"):
        join(parts, tmp_path / "joined", tmp_path / "report.json")
    assert not list(tmp_path.glob("joined/*"))
    assert not (tmp_path / "report.json").exists()
