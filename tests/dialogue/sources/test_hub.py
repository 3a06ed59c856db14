from __future__ import annotations

import json
from pathlib import Path

import pytest

from dialogue import sources
from dialogue.config import HubSource
from dialogue.records import Dialogue


def hub_source(folder: Path, split: str = "train", form: str = "messages") -> HubSource:
    """`datasets` takes a folder in place of an id, which is all of the hub that is offline."""
    return HubSource(
        kind="hub", id=str(folder), revision="main", split=split, format=form, licence="MIT"
    )


def test_rows_are_streamed_into_a_format(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "héllo"}, {"role": "assistant", "content": "hi\n" * 9_000}]
    (tmp_path / "train.jsonl").write_text(f"{json.dumps({'messages': turns})}\n" * 3)
    rows = list(sources.read(hub_source(tmp_path), "chat", test_share=0.1, validation_share=0.1))
    assert len(rows) == 3
    first = rows[0]
    assert isinstance(first, Dialogue)
    assert first.turns[0].text == "héllo"
    assert first.source == f"{tmp_path}@main/train"
    assert first.origin.endswith("/train:1")


def test_a_text_column_is_plain_text(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert list(sources.read_text(hub_source(tmp_path, form="text_column"))) == ["one", "two"]


def test_what_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "one"}\n')
    with pytest.raises(ValueError, match=r"hub dataset .*split `dev`: Bad split.*check id"):
        list(sources.read_text(hub_source(tmp_path, split="dev", form="text_column")))
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(ValueError, match="it is empty"):
        list(sources.read_text(hub_source(tmp_path, form="text_column")))
