from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from dialogue.config import Params
from dialogue.encoding import Encoder
from dialogue.log import SilentLog
from dialogue.manifest import write_manifest
from dialogue.records import Dialogue, Split, Turn, write_dialogues
from dialogue.shards import open_shard
from dialogue.tokenization import load_tokenizer
from tasks.encode import encode


def dialogue(name: str, split: Split) -> Dialogue:
    turns = (Turn("user", f"hello {name}"), Turn("assistant", f"hi {name}"))
    return Dialogue(name, turns, "chat", split, "s", "1", "MIT", "d" * 64)


def write_valid(folder: Path, dialogues: list[Dialogue]) -> None:
    """What validation leaves."""
    write_dialogues(folder / "dialogues.parquet", dialogues)
    write_manifest(folder)


def test_splits_become_shards_that_say_what_was_said(
    params: Params, tiny_model: Path, tmp_path: Path
) -> None:
    valid = tmp_path / "valid"
    dialogues = [dialogue("a", "train"), dialogue("b", "test"), dialogue("c", "train")]
    write_valid(valid, dialogues)
    encode(
        params,
        SilentLog(),
        domain="chat",
        valid=valid,
        tokenizer=tiny_model,
        encoded=tmp_path / "encoded",
        report=tmp_path / "report.json",
    )
    train = open_shard(tmp_path / "encoded" / "train")
    assert train.ids == ("a", "c")
    assert open_shard(tmp_path / "encoded" / "test").ids == ("b",)
    assert len(open_shard(tmp_path / "encoded" / "validation")) == 0
    learned = load_tokenizer(tiny_model).decode(train[1].ids[train[1].mask])
    assert learned == "hi c<|im_end|>"
    figures = json.loads((tmp_path / "report.json").read_text())
    assert figures["train_dialogues"] == 2
    assert figures["train_supervised_tokens"] == sum(int(train[i].mask.sum()) for i in range(2))
    assert figures["train_tokens"] == int(train.lengths.sum())


def test_equal_dialogues_give_equal_bytes(params: Params, tiny_model: Path, tmp_path: Path) -> None:
    write_valid(tmp_path / "valid", [dialogue("a", "train")])
    for name in ("one", "two"):
        encode(
            params,
            SilentLog(),
            domain="chat",
            valid=tmp_path / "valid",
            tokenizer=tiny_model,
            encoded=tmp_path / name,
            report=tmp_path / "report.json",
        )
    for path in (tmp_path / "one").rglob("*.*"):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == twin.read_bytes()


def test_damaged_dialogues_are_noticed(params: Params, tiny_model: Path, tmp_path: Path) -> None:
    valid = tmp_path / "valid"
    write_valid(valid, [dialogue("a", "train")])
    path = valid / "dialogues.parquet"
    path.write_bytes(path.read_bytes().replace(b"MIT", b"MIX"))
    with pytest.raises(ValueError, match=r"dialogues\.parquet: damaged"):
        encode(
            params,
            SilentLog(),
            domain="chat",
            valid=valid,
            tokenizer=tiny_model,
            encoded=tmp_path / "encoded",
            report=tmp_path / "report.json",
        )


def test_the_chat_template_lies_with_the_tokenizer(tiny_model: Path) -> None:
    """Whoever loads the folder gets it, and it renders what was encoded."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    turns = dialogue("a", "train").turns
    said = [{"role": turn.role, "content": turn.text} for turn in turns]
    rendered = tokenizer.apply_chat_template(said, tokenize=False)
    assert rendered == tokenizer.decode(Encoder(tokenizer).dialogue(turns, 1_000).ids)


def test_records_that_are_not_there_are_named(
    params: Params, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"manifest\.json: missing"):
        encode(
            params,
            SilentLog(),
            domain="chat",
            valid=tmp_path,
            tokenizer=tiny_model,
            encoded=tmp_path / "encoded",
            report=tmp_path / "report.json",
        )
