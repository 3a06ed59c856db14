from __future__ import annotations

import json
from pathlib import Path

import pytest

from dialogue import sources
from dialogue.config import HubSource
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue, Reject


def hub_source(folder: Path, split: str = "train", form: str = "messages") -> HubSource:
    """`datasets` takes a folder in place of an id, which is all of the hub that is offline."""
    return HubSource(
        kind="hub", id=str(folder), revision="main", split=split, format=form, licence="MIT"
    )


def read(source: HubSource) -> list[Dialogue | Reject]:
    shares = {"test_share": 0.1, "validation_share": 0.1}
    return list(
        sources.read(
            source,
            sources.raw_files(source),
            "chat",
            **shares,
            scrubber=Scrubber(()),
            max_row_bytes=1 << 20,
        )
    )


def texts(source: HubSource) -> list[str]:
    return list(
        sources.read_text(
            source, sources.raw_files(source), scrubber=Scrubber(()), max_row_bytes=1 << 20
        )
    )


def test_rows_are_streamed_into_a_format(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "héllo"}, {"role": "assistant", "content": "hi\n" * 9_000}]
    (tmp_path / "train.jsonl").write_text(f"{json.dumps({'messages': turns})}\n" * 3)
    rows = read(hub_source(tmp_path))
    assert len(rows) == 3
    first = rows[0]
    assert isinstance(first, Dialogue)
    assert first.turns[0].text == "héllo"
    assert first.source == f"{tmp_path}@main/train"
    assert first.origin.endswith("/train:1")


def test_a_text_column_is_plain_text(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert texts(hub_source(tmp_path, form="text_column")) == ["one", "two"]


def test_what_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "one"}\n')
    with pytest.raises(ValueError, match=r"hub dataset .*split `dev`: Bad split.*check id"):
        texts(hub_source(tmp_path, split="dev", form="text_column"))
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(ValueError, match="it is empty"):
        texts(hub_source(tmp_path, form="text_column"))


def test_a_table_of_the_hub_is_read_by_its_columns_streamed_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "train.csv").write_text("ask,say,n\n你好,您好,1\n一加一,二,2\n")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for streaming in (True, False):
        source = HubSource(
            kind="hub",
            id=str(tmp_path / "hub"),
            revision="main",
            split="train",
            configuration="default",
            streaming=streaming,
            format="table",
            columns={"prompt": "ask", "response": "say", "id": "n"},
            licence="MIT",
        )
        rows = read(source)
        assert [row.turns[1].text for row in rows if isinstance(row, Dialogue)] == ["您好", "二"]
