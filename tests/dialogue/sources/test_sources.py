from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialogue import sources
from dialogue.config import FileSource
from dialogue.records import Dialogue, Reject

SHARED = Path(__file__).parents[4] / "shared" / "data"


def file_source(path: Path, form: str, limit: int | None = None) -> FileSource:
    return FileSource(kind="file", path=str(path), format=form, licence="MIT", limit=limit)


def rows_of(path: Path, form: str) -> list[Dialogue | Reject]:
    return list(sources.read(file_source(path, form), "chat", test_share=0.2, validation_share=0.1))


def messages(asked: str, answered: str) -> str:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return json.dumps({"messages": turns})


LINES = st.lists(st.text(min_size=1, max_size=8).filter(str.strip), unique_by=str.casefold)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, LINES)
def test_a_dialogue_keeps_its_split_while_its_source_grows(
    tmp_path: Path, old: list[str], new: list[str]
) -> None:
    path = tmp_path / "chat.jsonl"

    def splits(texts: list[str]) -> dict[str, str]:
        path.write_text("\n".join(messages(text, "yes") for text in texts))
        return {row.id: row.split for row in rows_of(path, "messages") if isinstance(row, Dialogue)}

    before = splits([*old, "always there"])
    after = splits([*new, *old, "always there"])
    assert before.items() <= after.items()


def test_provenance_is_kept_and_bad_rows_stand_between_good_ones(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf" + messages("hi", "hello").encode() + b"\n\n"
        b'{"messages": [{"role": "user", \n'
        b"\xff\xfe\n" + messages("bye", "see you").encode()
    )
    first, half, damaged, last = rows_of(path, "messages")
    assert isinstance(first, Dialogue)
    assert (first.source, first.origin, first.licence) == (str(path), f"{path}:1", "MIT")
    assert isinstance(half, Reject)
    assert (half.origin, half.reason[:8]) == (f"{path}:3", "not JSON")
    assert isinstance(damaged, Reject)
    assert (damaged.origin, damaged.reason[:9]) == (f"{path}:4", "not UTF-8")
    assert isinstance(last, Dialogue)
    assert last.origin == f"{path}:5"
    (raw,) = sources.raw_files(file_source(path, "messages"))
    assert last.raw_digest == raw.digest


def test_what_cannot_be_read_at_all_is_told_with_its_mend(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    with pytest.raises(ValueError, match=r"chat.jsonl: the source's file is missing"):
        rows_of(path, "messages")
    with pytest.raises(ValueError, match="is a folder; name a file in it"):
        rows_of(tmp_path, "messages")
    path.write_text("")
    with pytest.raises(ValueError, match="is empty"):
        rows_of(path, "messages")
    path.write_text("\n \n")
    with pytest.raises(ValueError, match="no dialogue stands in it"):
        rows_of(path, "messages")
    with pytest.raises(ValueError, match="`format: text` is no format of dialogues; use one of"):
        rows_of(path, "text")
    with pytest.raises(ValueError, match="`format: eou` is no format of plain text"):
        list(sources.read_text(file_source(path, "eou")))


def test_text_is_limited_to_the_same_documents_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl"
    lines = [json.dumps({"text": f"document {number}"}) for number in range(20)]
    path.write_text("\n".join(lines))
    some = list(sources.read_text(file_source(path, "text_column", limit=5)))
    path.write_text("\n".join(reversed(lines)))
    assert set(sources.read_text(file_source(path, "text_column", limit=5))) == set(some)
    assert len(some) == 5


def test_plain_text_is_one_document_and_must_be_utf8(tmp_path: Path) -> None:
    path = tmp_path / "play.txt"
    path.write_text("To be,\nor not.\n")
    assert list(sources.read_text(file_source(path, "text"))) == ["To be,\nor not.\n"]
    path.write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(ValueError, match=r"play.txt:2: not UTF-8"):
        list(sources.read_text(file_source(path, "text")))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_dailydialog_is_read_whole() -> None:
    path = SHARED / "dailydialog" / "validation.en.txt"
    rows = rows_of(path, "eou")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(rows) == len(lines) == 995
    dialogues = [row for row in rows if isinstance(row, Dialogue)]
    assert len(dialogues) == len(rows)
    # An odd number of utterances ends with the user's, which is cut off.
    counted = sum(line.count("__eou__") // 2 * 2 for line in lines)
    assert sum(len(dialogue.turns) for dialogue in dialogues) == counted
