from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dialogue import sources
from dialogue.config import FileSource
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue, Reject
from dialogue.sources.formats import FORMATS


def file_source(path: Path, form: str, limit: int | None = None, **options: Any) -> FileSource:
    return FileSource(
        kind="file", path=str(path), format=form, licence="MIT", limit=limit, **options
    )


def rows_of(path: Path, form: str, scrubber: Any = None, **options: Any) -> list[Dialogue | Reject]:
    source = file_source(path, form, **options)
    return list(
        sources.read(
            source,
            sources.raw_files(source),
            "chat",
            test_share=0.2,
            validation_share=0.1,
            scrubber=scrubber or Scrubber(()),
            max_row_bytes=1 << 20,
        )
    )


def texts_of(
    path: Path, form: str, limit: int | None = None, max_row_bytes: int = 1 << 20
) -> list[str]:
    source = file_source(path, form, limit)
    return list(
        sources.read_text(
            source,
            sources.raw_files(source),
            scrubber=Scrubber(("email",)),
            max_row_bytes=max_row_bytes,
        )
    )


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
    with pytest.raises(ValueError, match="is a folder; name files in it by"):
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
        texts_of(path, "eou")


def test_text_is_limited_to_the_same_documents_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl"
    lines = [json.dumps({"text": f"document {chr(97 + number)}"}) for number in range(20)]
    path.write_text("\n".join(lines))
    some = texts_of(path, "text_column", 5)
    path.write_text("\n".join(reversed(lines)))
    assert set(texts_of(path, "text_column", 5)) == set(some)
    assert len(some) == 5


def test_plain_text_is_one_document_and_must_be_utf8(tmp_path: Path) -> None:
    path = tmp_path / "play.txt"
    path.write_text("To be,\nor not.\n")
    assert texts_of(path, "text") == ["To be,\nor not.\n"]
    path.write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(ValueError, match=r"play.txt:2: not UTF-8"):
        texts_of(path, "text")


def test_text_is_scrubbed_and_a_large_file_cut_at_the_ends_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "play.txt"
    path.write_text("mail a@b.org\nnow\nor never\n")
    assert texts_of(path, "text", max_row_bytes=17) == [
        "mail [EMAIL]\nnow\n",
        "or never\n",
    ]
    with pytest.raises(ValueError, match=r"play.txt:1: too large: more than 5 bytes in one line"):
        texts_of(path, "text", max_row_bytes=5)


def test_an_id_that_is_given_twice_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    rows = [json.loads(messages(text, "yes")) for text in ("a", "b", "c", "d", "e")]
    for row, identity in zip(rows, (7, "8", "7", None, ""), strict=True):
        row["id"] = identity
    path.write_text("\n".join(map(json.dumps, rows)))
    found = rows_of(path, "messages")
    (twice,) = [row for row in found if isinstance(row, Reject)]
    assert (twice.origin, twice.kind) == (f"{path}:3", "fault")
    assert twice.reason == f"duplicate id: '7' was given before, at {path}:1"
    (tmp_path / "chat2.jsonl").write_text(path.read_text())
    again = rows_of(tmp_path / "*.jsonl", "messages")
    assert sum(isinstance(row, Reject) for row in again) == 2, "an id counts within its file"


def test_an_id_is_taken_by_a_dialogue_only(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    rows = [json.loads(messages("a", text)) | {"id": 7} for text in ("", "yes", "no")]
    path.write_text(json.dumps(rows))
    empty, good, twice = rows_of(path, "messages")
    assert isinstance(empty, Reject)
    assert empty.reason.startswith("no reply")
    assert isinstance(good, Dialogue)
    assert isinstance(twice, Reject)
    assert (twice.reason, twice.excerpt) == (
        f"duplicate id: '7' was given before, at {good.origin}",
        "a\nno",
    )


def test_rejects_are_scrubbed(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(
        '{"messages": "ask a@b.org"}\n{"messages": [{"role": "c@d.org"}]}\nnot e@f.org\n'
    )
    rows = rows_of(path, "messages", Scrubber(("email",)))
    assert [row.excerpt for row in rows if isinstance(row, Reject)] == [
        '{"messages": "ask [EMAIL]"}',
        '{"messages": [{"role": "[EMAIL]"}]}',
        "not [EMAIL]",
    ]
    assert "c@d.org" not in str(rows)
    assert [row.origin for row in rows] == [f"{path}:{number}" for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("form", "options", "said"),
    [
        ("messages", {"question": "?"}, "chat.question: no option of `format: messages`; remove"),
        ("labelled", {"question": "?"}, "chat.columns: `format: labelled` needs it; add it"),
        ("eou_emotion", {}, "chat.question: `format: eou_emotion` needs it; add it"),
        ("eou", {"select": {"service": "x"}}, "chat.select: no option of `format: eou`"),
        ("table", {"columns": {"promt": "p"}}, "chat.columns: {promt} is no column map"),
        ("schema_guided", {"select": {"domain": "x"}}, "chat.select: this format selects by"),
    ],
)
def test_options_that_do_not_fit_their_format_are_told_with_their_place(
    tmp_path: Path, form: str, options: dict[str, Any], said: str
) -> None:
    path = tmp_path / "chat"
    path.write_text("a,b\n")
    with pytest.raises(ValueError, match=f"^ingest.sources.{re.escape(said)}"):
        rows_of(path, form, **options)


@pytest.mark.parametrize(("text", "said"), [("a\\u0000b", "NUL byte"), ("\\ud800", "lone surr")])
def test_text_that_cannot_be_stored_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text(f'{{"text": "good"}}\n{{"text": "{text}"}}\n')
    with pytest.raises(ValueError, match=rf"text.jsonl: document 2: {said}"):
        texts_of(path, "text_column")


def test_labels_may_be_written_as_the_numbers_they_are() -> None:
    found = file_source(Path("x"), "labelled", labels={0: "bad", True: "good", "x": "so"})
    assert found.labels == {"0": "bad", "true": "good", "x": "so"}


OPTIONS: dict[str, dict[str, Any]] = {
    "eou_emotion": {"question": "?"},
    "home_assistant_intents": {"question": "?"},
    "home_assistant_slots": {"question": "?"},
    "labelled": {"question": "?", "columns": {"text": "a", "entities": "b"}},
    "schema_guided": {"select": {"service": "x"}},
    "table": {"columns": {"dialogue": "a", "role": "b", "text": "c"}},
}
WORDS = st.sampled_from(
    ["a", "b", "c", "user", "1", "0", " ", "\n", "\t", ",", '"', "[", "]", "{", "}", ":", "\\ud800",
     "__eou__", "messages", "conversations", "role", "turns", "services", "x_1", "PAR1", "\x00",
     "1 your persona: ", "intents", "User 1: ", "- ", "conversations:\n", "\ufeff", "你好", "\xff"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.integers(0, 2) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
)
CONTENTS = (
    st.binary(max_size=40)
    | st.lists(WORDS).map(lambda words: "".join(words).encode())
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.lists(WORDS).map(lambda words: f"a,b,c\n{''.join(words)}".encode())
)


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=40, deadline=None)
@given(content=CONTENTS)
@example(content=b'"a\nb"')
def test_whatever_stands_in_a_file_it_gives_rows_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, form: str, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "anything"
    path.write_bytes(content)
    rows: list[Dialogue | Reject] = []
    said = ""
    try:
        rows = rows_of(path, form, **OPTIONS.get(form, {}))
    except ValueError as error:
        said = str(error)
    assert rows or str(path) in said or "ingest.sources" in said
    assert "\n" not in said
    for row in rows:
        assert row.origin.startswith(str(path))
        str(row).encode()
